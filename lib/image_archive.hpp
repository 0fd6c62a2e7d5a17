// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The archive that an image's metadata is written in: Boost.Serialization with
// archive classes of our own, derived from its binary implementation.
//
// What makes the bytes ours and not those of one Boost version: no archive
// header, no class information, no tracking; integers of fixed width only;
// strings, byte blocks and vectors behind a u32 count.  Every structure stands
// behind its u32 length, so that one which a later version has made longer is
// still read: what trails is skipped and counted.
#pragma once

#include <array>
#include <boost/archive/binary_iarchive_impl.hpp>
#include <boost/archive/binary_oarchive_impl.hpp>
#include <boost/archive/impl/basic_binary_iarchive.ipp>
#include <boost/archive/impl/basic_binary_iprimitive.ipp>
#include <boost/archive/impl/basic_binary_oarchive.ipp>
#include <boost/archive/impl/basic_binary_oprimitive.ipp>
#include <boost/serialization/level.hpp>
#include <boost/serialization/serialization.hpp>
#include <boost/serialization/split_free.hpp>
#include <boost/serialization/tracking.hpp>
#include <concepts>
#include <cstring>
#include <limits>
#include <streambuf>
#include <udpcr/image.hpp>

namespace udpcr::archive {

constexpr unsigned kFlags = boost::archive::no_header | boost::archive::no_codecvt |
                            boost::archive::no_xml_tag_checking | boost::archive::no_tracking;

// The allocations of Boost's own, and error sentences.
constexpr std::size_t kOwnMemory = std::size_t{64} << 10;
// What a reader may allocate beyond the size of the file.
constexpr std::size_t kMemoryBeyondFile = std::size_t{1} << 20;

// The structures of the metadata.  `kPart` indexes what is counted by kind.
template <typename T>
struct Part {
  static constexpr int kPart = -1;
};
template <>
struct Part<Image> {
  static constexpr int kPart = 0;
};
template <>
struct Part<ImageProcess> {
  static constexpr int kPart = 1;
};
template <>
struct Part<ImageFd> {
  static constexpr int kPart = 2;
};
template <>
struct Part<ImageSocket> {
  static constexpr int kPart = 3;
};
template <>
struct Part<Loss> {
  static constexpr int kPart = 4;
};
constexpr std::array<const char*, 5> kPartNames = {"the program", "processes", "fds", "sockets",
                                                   "losses"};

template <typename T>
concept Structure = Part<T>::kPart >= 0;
template <typename T>
concept FixedInteger = std::integral<T> && !std::same_as<T, bool>;
// Boost's records about classes and pointers.  Its base classes name them, and
// nothing that we write has any.
template <typename T>
concept Bookkeeping = std::same_as<T, boost::archive::version_type> ||
    std::same_as<T, boost::archive::class_id_type> ||
    std::same_as<T, boost::archive::class_id_optional_type> ||
    std::same_as<T, boost::archive::class_id_reference_type> ||
    std::same_as<T, boost::archive::object_id_type> ||
    std::same_as<T, boost::archive::object_reference_type> ||
    std::same_as<T, boost::archive::tracking_type> ||
    std::same_as<T, boost::archive::class_name_type>;
[[noreturn]] inline void refuse_bookkeeping() {
  throw std::logic_error("a class of the image's metadata lacks UDPCR_PLAIN_STRUCTURE");
}

// libstdc++ and libc++ allocate at most this for a string of `size` characters.
constexpr std::size_t string_memory(std::size_t size) { return size + 32; }

class ByteSink : public std::streambuf {
 public:
  explicit ByteSink(Bytes& bytes) : bytes_(bytes) {}

 protected:
  std::streamsize xsputn(const char* data, std::streamsize size) override {
    bytes_.insert(bytes_.end(), data, data + size);
    return size;
  }
  int_type overflow(int_type character) override {
    bytes_.push_back(static_cast<std::uint8_t>(character));
    return character;
  }

 private:
  Bytes& bytes_;
};

class ByteSource : public std::streambuf {
 public:
  explicit ByteSource(ByteView bytes) {
    // The get area is never written: there is no putback of another character.
    char* const begin = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
    setg(begin, begin, begin + bytes.size());
  }
  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(egptr() - gptr()); }
  // `size` must not exceed left().
  ByteView take(std::size_t size) {
    const ByteView bytes(reinterpret_cast<const std::uint8_t*>(gptr()), size);
    setg(eback(), gptr() + size, egptr());
    return bytes;
  }
  // Makes the source end `size` bytes from here; returns what end_at() takes
  // to undo it.  `size` must not exceed left().
  std::size_t narrow(std::size_t size) {
    const std::size_t cut = left() - size;
    setg(eback(), gptr(), gptr() + size);
    return cut;
  }
  void widen(std::size_t cut) { setg(eback(), gptr(), egptr() + cut); }
};

// Writes metadata to `bytes`, which must outlive it.
class Writer : public boost::archive::binary_oarchive_impl<Writer, char, std::char_traits<char>> {
  using Base = boost::archive::binary_oarchive_impl<Writer, char, std::char_traits<char>>;

 public:
  Writer(Bytes& bytes, ByteSink& sink) : Base(sink, kFlags), bytes_(bytes) {}

  // Called by Boost's operators; hence public.
  template <Bookkeeping T>
  void save_override(const T& /*value*/) {
    refuse_bookkeeping();
  }
  template <FixedInteger T>
  void save_override(const T& value) {
    Base::save_override(value);
  }
  template <Structure T>
  void save_override(const T& value) {
    const std::size_t at = bytes_.size();
    *this << std::uint32_t{0};
    Base::save_override(value);
    const std::uint32_t size = checked_size(bytes_.size() - at - sizeof(std::uint32_t));
    std::memcpy(bytes_.data() + at, &size, sizeof size);
  }
  template <typename T>
  void save_override(const std::vector<T>& values) {
    *this << checked_size(values.size());
    // Twice, for a later reader whose structures have grown.
    memory_ += 2 * sizeof(T) * values.size();
    for (const T& value : values) *this << value;
  }
  void save_override(const std::string& text) {
    *this << checked_size(text.size());
    memory_ += string_memory(text.size());
    save_binary(text.data(), text.size());
  }
  void save_override(const Bytes& block) {
    *this << checked_size(block.size());
    memory_ += block.size();
    save_binary(block.data(), block.size());
  }

  void save_queue(const MessageStream& queue) {
    *this << static_cast<std::uint64_t>(queue.bytes().size());
    memory_ += queue.bytes().size();
    queues_ += queue.bytes().size();
  }

  // A reader allocates no more than the file's size and 1 MiB.  Very many tiny
  // structures take more in memory than on disk: zeros make up for it.
  void save_ballast() {
    const std::size_t allowed = bytes_.size() + queues_ + kMemoryBeyondFile / 2;
    const std::uint32_t size = checked_size(memory_ > allowed ? memory_ - allowed : 0);
    *this << size;
    bytes_.resize(bytes_.size() + size);
  }

 private:
  static std::uint32_t checked_size(std::size_t size) {
    if (size > std::numeric_limits<std::uint32_t>::max()) {
      throw Error("cannot write the image: a part of " + std::to_string(size) +
                  " bytes or entries is longer than its format allows; "
                  "checkpoint fewer sockets at once");
    }
    return static_cast<std::uint32_t>(size);
  }

  Bytes& bytes_;
  std::size_t memory_ = 0;
  std::size_t queues_ = 0;
};

// Reads metadata, and the queues beside it.
class Reader : public boost::archive::binary_iarchive_impl<Reader, char, std::char_traits<char>> {
  using Base = boost::archive::binary_iarchive_impl<Reader, char, std::char_traits<char>>;

 public:
  Reader(ByteSource& source, ByteView queues, std::size_t memory_limit)
      : Base(source, kFlags), source_(source), queues_(queues), memory_limit_(memory_limit) {}

  template <Bookkeeping T>
  void load_override(T& /*value*/) {
    refuse_bookkeeping();
  }
  template <FixedInteger T>
  void load_override(T& value) {
    need(sizeof value, "an integer");
    Base::load_override(value);
  }
  template <Structure T>
  void load_override(T& value) {
    const std::uint32_t size = count();
    need(size, kPartNames[Part<T>::kPart]);
    const std::size_t cut = source_.narrow(size);
    Base::load_override(value);
    skipped_[Part<T>::kPart] += source_.left();
    source_.take(source_.left());
    source_.widen(cut);
  }
  template <typename T>
  void load_override(std::vector<T>& values) {
    const std::uint32_t size = count();
    // Each element stands at least behind its u32 length.
    if (size > source_.left() / sizeof(std::uint32_t)) {
      broken("a table of " + std::to_string(size) + " entries is announced where " +
             std::to_string(source_.left()) + " bytes are left");
    }
    charge(size * sizeof(T));
    values.reserve(size);
    for (std::uint32_t i = 0; i < size; ++i) *this >> values.emplace_back();
  }
  void load_override(std::string& text) {
    const std::uint32_t size = count();
    need(size, "a text");
    charge(string_memory(size));
    const ByteView bytes = source_.take(size);
    text.assign(bytes.begin(), bytes.end());
  }
  void load_override(Bytes& block) {
    const std::uint32_t size = count();
    need(size, "a record");
    charge(size);
    const ByteView bytes = source_.take(size);
    block.assign(bytes.begin(), bytes.end());
  }

  void load_queue(MessageStream& queue) {
    std::uint64_t size = 0;
    *this >> size;
    if (size > queues_.size()) {
      broken("a queue of " + std::to_string(size) + " bytes is announced where " +
             std::to_string(queues_.size()) + " are left of the queues");
    }
    charge(size);
    const ByteView bytes = queues_.first(size);
    queue = MessageStream::from_bytes(Bytes(bytes.begin(), bytes.end()));
    queues_ = queues_.subspan(size);
  }

  // False: an older version ended the structure that is being read here.
  [[nodiscard]] bool goes_on() const { return source_.left() != 0; }

  void load_ballast() {
    const std::uint32_t size = count();
    need(size, "ballast");
    source_.take(size);
  }

  // Accounts for memory that is about to be allocated.
  void charge(std::size_t bytes) {
    if (bytes > memory_limit_ - memory_) {
      broken("its tables would take more memory than the file's size and 1 MiB");
    }
    memory_ += bytes;
  }
  [[nodiscard]] std::size_t queue_bytes_left() const { return queues_.size(); }
  // Bytes that a later version put behind what is known, by Part<T>::kPart.
  [[nodiscard]] const std::array<std::uint64_t, kPartNames.size()>& skipped() const {
    return skipped_;
  }

  [[noreturn]] static void broken(const std::string& what) {
    throw Error("corrupt image: " + what + "; take a new checkpoint");
  }

 private:
  std::uint32_t count() {
    std::uint32_t value = 0;
    *this >> value;
    return value;
  }
  void need(std::size_t size, const char* what) const {
    if (size > source_.left()) {
      broken(std::string(what) + " of " + std::to_string(size) + " bytes has to stand where " +
             std::to_string(source_.left()) + " are left");
    }
  }

  ByteSource& source_;
  ByteView queues_;
  std::size_t memory_limit_;
  std::size_t memory_ = 0;
  std::array<std::uint64_t, kPartNames.size()> skipped_{};
};

}  // namespace udpcr::archive
