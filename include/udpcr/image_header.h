/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fixed header of an image file.  Plain C, because the shim reads it as
 * well, to tell whether an image was written by the program it lives in.
 *
 * File: this header, `metadata_size` bytes of Boost.Serialization archive,
 * `queues_size` bytes of message streams; nothing after them.
 */
#ifndef UDPCR_IMAGE_HEADER_H
#define UDPCR_IMAGE_HEADER_H

#include <stdint.h>

#define UDPCR_IMAGE_MAGIC "UDPCRIMG"
#define UDPCR_IMAGE_VERSION 2
#define UDPCR_IMAGE_BYTE_ORDER 0x01020304U

struct udpcr_image_header {
  char magic[8];          /* UDPCR_IMAGE_MAGIC, no terminator */
  uint32_t byte_order;    /* UDPCR_IMAGE_BYTE_ORDER as its writer stored it */
  uint16_t version;       /* UDPCR_IMAGE_VERSION */
  uint16_t header_size;   /* of this structure; more in later versions */
  uint64_t metadata_size; /* bytes */
  uint64_t queues_size;   /* bytes */
  uint64_t exe_hash;      /* udpcr_identity_hash of the executable's path */
  uint64_t argv_hash;     /* udpcr_identity_hash of the arguments, each with its NUL */
  uint32_t checksum;      /* CRC-32 of the header with this field 0, metadata and queues */
  uint32_t reserved;      /* 0 */
};

#define UDPCR_HASH_START 0xcbf29ce484222325ULL

/* FNV-1a, 64 bit; start with UDPCR_HASH_START. */
static inline uint64_t udpcr_identity_hash(uint64_t hash, const void* data, uint64_t size) {
  const unsigned char* byte = (const unsigned char*)data;
  for (uint64_t i = 0; i < size; ++i) {
    hash ^= byte[i];
    hash *= 0x100000001b3ULL;
  }
  return hash;
}

#endif /* UDPCR_IMAGE_HEADER_H */
