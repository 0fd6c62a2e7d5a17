// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Images to bytes and back; docs/image.md describes the format.
#include <boost/crc.hpp>
#include <cstring>

#include "image_archive.hpp"

// Neither class information nor tracking: only the members' bytes.
#define UDPCR_PLAIN_STRUCTURE(type)                                           \
  BOOST_CLASS_IMPLEMENTATION(type, boost::serialization::object_serializable) \
  BOOST_CLASS_TRACKING(type, boost::serialization::track_never)
UDPCR_PLAIN_STRUCTURE(udpcr::Image)
UDPCR_PLAIN_STRUCTURE(udpcr::ImageProcess)
UDPCR_PLAIN_STRUCTURE(udpcr::ImageFd)
UDPCR_PLAIN_STRUCTURE(udpcr::ImageSocket)
UDPCR_PLAIN_STRUCTURE(udpcr::Loss)

namespace udpcr {

// Members are only ever added, at the end of their structure.

template <typename Archive>
void serialize(Archive& archive, Loss& loss, unsigned /*version*/) {
  archive& loss.what& loss.why& loss.remedy;
}

void save(archive::Writer& writer, const ImageFd& fd, unsigned /*version*/) {
  writer << fd.number << fd.flags << fd.socket << fd.name;
}

void load(archive::Reader& reader, ImageFd& fd, unsigned /*version*/) {
  reader >> fd.number >> fd.flags >> fd.socket;
  if (reader.goes_on()) reader >> fd.name;  // those of 0.1 may lack it
}

template <typename Archive>
void serialize(Archive& archive, ImageFd& fd, unsigned version) {
  boost::serialization::split_free(archive, fd, version);
}

template <typename Archive>
void serialize(Archive& archive, ImageProcess& process, unsigned /*version*/) {
  archive& process.pid& process.fds;
}

void save(archive::Writer& writer, const ImageSocket& socket, unsigned /*version*/) {
  writer << socket.record;
  writer.save_queue(socket.receive_queue);
  writer.save_queue(socket.send_queue);
  writer << socket.losses;
  writer.save_queue(socket.error_queue);
}

void load(archive::Reader& reader, ImageSocket& socket, unsigned /*version*/) {
  reader >> socket.record;
  reader.load_queue(socket.receive_queue);
  reader.load_queue(socket.send_queue);
  reader >> socket.losses;
  if (reader.goes_on()) reader.load_queue(socket.error_queue);  // since version 2
}

template <typename Archive>
void serialize(Archive& archive, ImageSocket& socket, unsigned version) {
  boost::serialization::split_free(archive, socket, version);
}

template <typename Archive>
void serialize_program(Archive& archive, Image& image) {
  archive& image.executable& image.arguments& image.host& image.kernel& image.boot_id& image
      .engine& image.created& image.processes& image.sockets& image.losses;
}

void save(archive::Writer& writer, const Image& image, unsigned /*version*/) {
  serialize_program(writer, const_cast<Image&>(image));
  writer.save_ballast();
}

void load(archive::Reader& reader, Image& image, unsigned /*version*/) {
  serialize_program(reader, image);
  reader.load_ballast();
}

template <typename Archive>
void serialize(Archive& archive, Image& image, unsigned version) {
  boost::serialization::split_free(archive, image, version);
}

namespace {

using archive::Reader;
using Header = udpcr_image_header;
static_assert(sizeof(Header) == 56, "the header has no padding");

std::uint32_t checksum(Header header, ByteView rest) {
  header.checksum = 0;
  boost::crc_32_type crc;
  crc.process_bytes(&header, sizeof header);
  crc.process_bytes(rest.data(), rest.size());
  return crc.checksum();
}

// Everything about the header that can be told before the checksum.
Header check_header(ByteView file) {
  if (file.empty()) throw Error("empty file where an image has to be; take a new checkpoint");
  const std::size_t magic = std::min(file.size(), sizeof Header::magic);
  if (std::memcmp(file.data(), UDPCR_IMAGE_MAGIC, magic) != 0) {
    throw Error("not an image: it does not begin with " UDPCR_IMAGE_MAGIC
                "; name a file that udpcr has written");
  }
  const auto truncated = [&](std::uint64_t whole, const char* what) {
    throw Error("truncated image: " + std::to_string(file.size()) + " bytes of the " +
                std::to_string(whole) + " of " + what +
                " are there; copy it once more or take a new checkpoint");
  };
  if (file.size() < sizeof(Header)) truncated(sizeof(Header), "its header");
  Header header{};
  std::memcpy(&header, file.data(), sizeof header);
  if (header.byte_order == __builtin_bswap32(UDPCR_IMAGE_BYTE_ORDER)) {
    const bool here_little = std::endian::native == std::endian::little;
    throw Error(std::string("image of another byte order: it was written on a ") +
                (here_little ? "big-endian machine, and this one is little-endian"
                             : "little-endian machine, and this one is big-endian") +
                "; restore it on a machine like the one that wrote it");
  }
  if (header.byte_order != UDPCR_IMAGE_BYTE_ORDER) {
    Reader::broken("its byte order mark is " + std::to_string(header.byte_order));
  }
  if (header.version > UDPCR_IMAGE_VERSION) {
    throw Error("image of a future format: version " + std::to_string(header.version) +
                ", and this udpcr reads up to " + std::to_string(UDPCR_IMAGE_VERSION) +
                "; restore it with the udpcr that wrote it or a newer one");
  }
  if (header.version == 0) Reader::broken("its format version is 0");
  if (header.header_size < sizeof header) {
    Reader::broken("its header claims a size of " + std::to_string(header.header_size) +
                   " bytes, less than " + std::to_string(sizeof header));
  }
  std::uint64_t whole = header.header_size;
  if (__builtin_add_overflow(whole, header.metadata_size, &whole) ||
      __builtin_add_overflow(whole, header.queues_size, &whole)) {
    Reader::broken("its header claims metadata of " + std::to_string(header.metadata_size) +
                   " and queues of " + std::to_string(header.queues_size) + " bytes");
  }
  if (file.size() < whole) truncated(whole, "the whole");
  if (file.size() > whole) {
    Reader::broken(std::to_string(file.size() - whole) + " bytes trail behind its end at " +
                   std::to_string(whole));
  }
  return header;
}

// What no program with UDP sockets can have left behind.
void check_references(const Image& image) {
  for (const ImageProcess& process : image.processes) {
    for (const ImageFd& fd : process.fds) {
      if (fd.socket >= image.sockets.size()) {
        Reader::broken("fd " + std::to_string(fd.number) + " of process " +
                       std::to_string(process.pid) + " names socket " + std::to_string(fd.socket) +
                       ", and there are " + std::to_string(image.sockets.size()));
      }
      if (fd.number < 0) {
        Reader::broken("process " + std::to_string(process.pid) + " has an fd with the number " +
                       std::to_string(fd.number));
      }
    }
  }
}

void name_skipped(Reader& reader, std::uint64_t header_bytes, Image& image) {
  const auto name = [&](std::uint64_t bytes, const char* part) {
    if (bytes == 0) return;
    reader.charge(2 * sizeof(Loss) * (image.losses.size() + 1));  // should the vector grow
    image.losses.push_back(
        {"image field",
         std::to_string(bytes) + " bytes about " + part + " were written by a newer udpcr",
         "restore with the udpcr that wrote the image to keep them"});
  };
  name(header_bytes, "the image's header");
  for (std::size_t i = 0; i < archive::kPartNames.size(); ++i) {
    name(reader.skipped()[i], archive::kPartNames[i]);
  }
}

}  // namespace

std::uint64_t executable_hash(const std::string& executable) noexcept {
  return udpcr_identity_hash(UDPCR_HASH_START, executable.data(), executable.size());
}

std::uint64_t arguments_hash(const std::vector<std::string>& arguments) noexcept {
  std::uint64_t hash = UDPCR_HASH_START;
  for (const std::string& argument : arguments) {
    hash = udpcr_identity_hash(hash, argument.c_str(), argument.size() + 1);
  }
  return hash;
}

Bytes serialize_image(const Image& image) {
  check_references(image);
  std::size_t queues = 0;
  for (const ImageSocket& socket : image.sockets) {
    queues += socket.receive_queue.bytes().size() + socket.send_queue.bytes().size() +
              socket.error_queue.bytes().size();
  }
  Bytes file(sizeof(Header));
  {
    archive::ByteSink sink(file);
    archive::Writer writer(file, sink);
    writer << image;
  }
  Header header{};
  std::memcpy(header.magic, UDPCR_IMAGE_MAGIC, sizeof header.magic);
  header.byte_order = UDPCR_IMAGE_BYTE_ORDER;
  header.version = UDPCR_IMAGE_VERSION;
  header.header_size = sizeof header;
  header.metadata_size = file.size() - sizeof header;
  header.queues_size = queues;
  header.exe_hash = executable_hash(image.executable);
  header.argv_hash = image.full_arguments_hash.value_or(arguments_hash(image.arguments));
  file.reserve(file.size() + queues);
  for (const ImageSocket& socket : image.sockets) {
    for (const MessageStream* queue :
         {&socket.receive_queue, &socket.send_queue, &socket.error_queue}) {
      file.insert(file.end(), queue->bytes().begin(), queue->bytes().end());
    }
  }
  header.checksum = checksum(header, ByteView(file).subspan(sizeof header));
  std::memcpy(file.data(), &header, sizeof header);
  return file;
}

Image parse_image(ByteView file) {
  const Header header = check_header(file);
  const std::uint32_t found = checksum(header, file.subspan(sizeof header));
  if (found != header.checksum) {
    Reader::broken("its checksum is " + std::to_string(found) + " where its header says " +
                   std::to_string(header.checksum));
  }
  const ByteView metadata = file.subspan(header.header_size, header.metadata_size);
  const ByteView queues = file.subspan(header.header_size + header.metadata_size);
  Image image;
  archive::ByteSource source(metadata);
  Reader reader(source, queues, file.size() + archive::kMemoryBeyondFile - archive::kOwnMemory);
  try {
    reader >> image;
  } catch (const boost::archive::archive_exception& exception) {
    Reader::broken(std::string("its metadata cannot be read: ") + exception.what());
  }
  if (source.left() != 0) {
    Reader::broken(std::to_string(source.left()) + " bytes trail behind its metadata");
  }
  if (reader.queue_bytes_left() != 0) {
    Reader::broken(std::to_string(reader.queue_bytes_left()) +
                   " bytes of its queues are no socket's");
  }
  if (header.exe_hash != executable_hash(image.executable)) {
    Reader::broken("its header names another program than its metadata, " + image.executable);
  }
  check_references(image);
  if (header.argv_hash != arguments_hash(image.arguments)) {
    image.full_arguments_hash = header.argv_hash;
  }
  name_skipped(reader, header.header_size - sizeof header, image);
  return image;
}

}  // namespace udpcr
