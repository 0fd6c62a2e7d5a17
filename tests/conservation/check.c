/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: conservation_check FILE
 *
 * Reads what the servers have received: JSON, and examples on stderr.
 *
 *   distinct      numbers that were received
 *   doubled       datagrams with a number that another had before
 *   misordered    those behind a higher number of the same sender
 *   wrong_source  those whose source is not the sender that they carry
 *   damaged       those with a number that was not sent, or without a source
 *   servers       how many have received anything
 */
#include "slots.h"

#include <arpa/inet.h>
#include <string.h>

enum { kSenders = 8, kExamples = 5 };

static struct shared shared;

static int same_address(const union address* a, const union address* b) {
  if (a->any.sa_family != b->any.sa_family) return 0;
  if (a->any.sa_family == AF_INET) {
    return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
  }
  return a->v6.sin6_port == b->v6.sin6_port &&
         memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

static void example(uint64_t* count, const char* what, const struct slot* slot) {
  if (++*count > kExamples) return;
  fprintf(stderr, "%s: number %llu, source port %u, received by start %u\n", what,
          (unsigned long long)slot->datagram.number, ntohs(slot->source.v4.sin_port), slot->start);
}

/* Where lane `lane` has the first datagram that a server after `start` has received. */
static uint64_t end_of_start(uint64_t lane, uint64_t index, uint32_t start) {
  while (index < shared.control->slots && slot_at(shared, lane, index)->datagram.number != 0 &&
         slot_at(shared, lane, index)->start <= start) {
    ++index;
  }
  return index;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  shared = map_file(argv[1]);
  const uint64_t count = shared.control->count;
  uint8_t* const seen = calloc(count + 1, 1);
  if (seen == NULL) die("calloc");
  uint64_t distinct = 0, doubled = 0, misordered = 0, wrong = 0, damaged = 0, servers = 0;
  uint64_t highest[kSenders] = {0}, next[kMostLanes] = {0};
  /* Server by server: who serves a lane may have had another lane's socket before. */
  for (uint32_t start = 0; start <= shared.control->start; ++start) {
    int any = 0;
    for (uint64_t lane = 0; lane < shared.control->lanes; ++lane) {
      const uint64_t end = end_of_start(lane, next[lane], start);
      for (; next[lane] < end; ++next[lane]) {
        const struct slot* const slot = slot_at(shared, lane, next[lane]);
        const uint64_t number = slot->datagram.number;
        const int family = slot->datagram.sender.any.sa_family;
        const unsigned sender = (unsigned)ntohs(slot->datagram.sender.v4.sin_port) -
                                (unsigned)ntohs(sender_address(AF_INET, 0).v4.sin_port);
        any = 1;
        if (number > count || sender >= kSenders || slot->source.any.sa_family != family ||
            slot->start != start) {
          example(&damaged, "damaged", slot);
          continue;
        }
        if (seen[number]) example(&doubled, "doubled", slot);
        if (!seen[number]) ++distinct;
        seen[number] = 1;
        if (number < highest[sender]) example(&misordered, "misordered", slot);
        if (number > highest[sender]) highest[sender] = number;
        if (!same_address(&slot->source, &slot->datagram.sender)) {
          example(&wrong, "wrong source", slot);
        }
      }
    }
    servers += (uint64_t)any;
  }
  for (uint64_t number = 1, told = 0; number <= count && told < kExamples; ++number) {
    if (seen[number]) continue;
    fprintf(stderr, "never received: number %llu\n", (unsigned long long)number);
    ++told;
  }
  free(seen);
  printf(
      "{\"distinct\": %llu, \"doubled\": %llu, \"misordered\": %llu, \"wrong_source\": %llu, "
      "\"damaged\": %llu, \"servers\": %llu}\n",
      (unsigned long long)distinct, (unsigned long long)doubled, (unsigned long long)misordered,
      (unsigned long long)wrong, (unsigned long long)damaged, (unsigned long long)servers);
}
