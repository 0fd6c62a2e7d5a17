// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a program's processes and its keeper say to each other.
//
// Every process of a program's tree has a channel of its own to the keeper: a
// SOCK_SEQPACKET socket pair.
// Its end in the program is close-on-exec, so that the end of the channel
// means: this process has ended or become another program.
//
//   program -> keeper
//     start       first message ever, by the shim's constructor or `udpcr run`
//                 (StartMessage; fds: the shared page; to a keeper service the
//                 image's folder and the log file, too)
//     hello       by the shim's constructor: who the program is (HelloMessage,
//                 then executable, arguments, each with its NUL, and
//                 LISTEN_FDNAMES; fds: stderr, where there is one)
//     stored      before hello: sockets of an earlier start that the service
//                 manager's fd store has kept (StoredMessage, then a ParkKey of
//                 kParkKeySize bytes for each; fds: those)
//     forked      by a parent's channel in the child of fork
//                 (fds: the keeper's end of the child's channel).  From then on
//                 the child talks on its own.
//     checkpoint  by the signal handler (CheckpointMessage, then FdEntry for
//                 each fd; fds: those).  Several parts when there are many;
//                 the last one has `last` set.  stderr, where it is still the
//                 file that it was at start, is the extra last fd of the last
//                 part (`has_stderr`).
//     option      by the signal handler, before the last part of a checkpoint:
//                 an option that the kernel does not tell (OptionMessage, then
//                 its value)
//     claim       at bind or connect: entry K of the table (ClaimMessage)
//     release     entry K shall be closed, the program needs its port
//                 (ClaimMessage)
//     exchanged   answer to exchange (ClaimMessage)
//     give_back   entry K, which was claimed, is to be held again
//                 (ClaimMessage; fds: the socket)
//     park        UDPCR_PARK=always: a socket was bound or connected, keep it
//                 open for the next start (ParkMessage; fds: the socket); not
//                 answered
//     unpark      this process has closed its last fd of a socket
//                 (UnparkMessage); the keeper's copy is closed, if no other
//                 process has it, when `claimed` answers
//     sweep       sockets may have been closed unseen: all that no process has
//                 are released when `claimed` answers (SweepMessage)
//     others      bind(2) has found its port taken: is another keeper of this image
//                 about to close what an earlier run had? `claimed` answers
//                 (WireHeader)
//     knock       a process waits and has seen no sign of life: the keeper is to raise
//                 `progress` of the page, or to notice that it was given up
//                 (WireHeader); not answered
//     joined      by a child of fork, the first message on its own channel, before
//                 `forked` passes the keeper's end (WireHeader): the kernel tells
//                 with it who the child is
//     identified  answer to identify (IdentifyMessage)
//     made        answer to make (MadeMessage; fds: the socket)
//
//   keeper -> program
//     ready       answer to hello (ReadyMessage, then names for LISTEN_FDNAMES;
//                 fds: the table, if `entries`; with UDPCR_FDS=inherit and listen
//                 follow `inherited` fds in messages of type inherit).  Only
//                 awaited when an image stands there.
//     inherit     InheritMessage: fd numbers; fds: the sockets
//     exchange    another process has claimed entry K in the place of a socket that
//                 this one may have as well; a signal with kExchangeMagic tells
//                 of it (ExchangeMessage; fds: the socket)
//     claimed     answer to claim, release, give_back, unpark, sweep and others
//                 (ClaimedMessage; fds: the socket)
//     identify    a random number that is to come back: the kernel tells who
//                 answers (IdentifyMessage).  By a keeper service, before accepted;
//                 by other keepers, where the kernel does not give a pidfd with
//                 `joined` (before Linux 6.5)
//     make        by a keeper service, before ready: a new socket is wanted, which
//                 is the program's by its user, cgroup, label and network namespace
//                 (MakeMessage)
//
// During a checkpoint the keeper answers through the shared page alone: a
// handler needs sendmsg, poll and futex, nothing else.  The keeper reads
// nothing from the page that it would have to trust.
#pragma once

#include <limits.h>
#include <stdint.h>

#include "protocol/header.h"
#include "settings.h"

namespace udpcr::wire {

// FdEntry records a message: room for stderr beside them.
constexpr unsigned kFdsPerPart = 250;
// Sockets handed down that a hello tells of.
constexpr unsigned kMostLive = 64;
// Text of LISTEN_FDNAMES; more is left out.
constexpr unsigned kMostNames = 4096;

constexpr unsigned kNonceSize = 16;

struct IdentifyMessage {
  WireHeader header;
  uint8_t nonce[kNonceSize];
};

// StartMessage::fds: what comes behind the page, in this order.
constexpr uint32_t kStartFolder = 1U << 0;  // of the image, O_PATH
constexpr uint32_t kStartLog = 1U << 1;     // UDPCR_LOG_FILE

struct StartMessage {
  WireHeader header;
  uint32_t fds;
  Settings settings;
};

struct MakeMessage {
  WireHeader header;
  int32_t family;
  int32_t protocol;
};

struct MadeMessage {
  WireHeader header;
  int32_t status;  // 0 or the errno of socket(2)
};

// A socket that the program was handed down.  Not the socket itself: that would
// be open for longer than the program has it.
struct LiveFd {
  uint64_t cookie;  // SO_COOKIE
  int32_t fd;
  uint32_t pad;
};

struct HelloMessage {
  WireHeader header;
  uint32_t has_stderr;
  uint32_t executable_size;  // bytes that follow, NUL included
  uint32_t arguments_size;   // bytes that follow; cut at 64 KiB
  uint32_t arguments_cut;    // 1: arguments were longer
  uint64_t executable_hash;  // udpcr_identity_hash
  uint64_t arguments_hash;   // of all arguments
  uint32_t names_size;       // bytes that follow; no NUL
  uint32_t listen_count;     // LISTEN_FDS, when it is meant for this process
  uint32_t listen_room;      // fd numbers that are free behind those
  uint32_t live_count;
  uint32_t waits;  // 1: for `ready`; else nothing is to be restored: it binds its own ports
  LiveFd live[kMostLive];
};

struct ForkedMessage {
  WireHeader header;
  int32_t pid;  // as the program sees it; the keeper goes by SCM_CREDENTIALS
};

struct CheckpointMessage {
  WireHeader header;
  uint32_t epoch;  // of the shared page
  uint32_t count;  // FdEntry records that follow
  uint32_t last;
  uint32_t has_stderr;
  // In the last part: below this number every socket was sent, whether or not
  // the shim has seen it come; the keeper drops what is not UDP.
  uint32_t scanned;
};

// What the shim recorded of a socket's life, in FdEntry::flags.
constexpr uint32_t kFdOriginKnown = 1U << 0;   // seen since socket(2)
constexpr uint32_t kFdBound = 1U << 1;         // bind(2) succeeded
constexpr uint32_t kFdBoundPort = 1U << 2;     // with a port that is not 0
constexpr uint32_t kFdBoundAddress = 1U << 3;  // with an address that is not the wildcard
constexpr uint32_t kFdCloexec = 1U << 4;       // as far as seen
// Of restored sockets alone.
constexpr uint32_t kFdAsync = 1U << 5;   // O_ASYNC, which must be set at its own number
constexpr uint32_t kFdUnseen = 1U << 6;  // came by a call that is not interposed

struct FdEntry {
  int32_t fd;
  uint32_t flags;
  uint64_t inode;
};

// An option as the program last set it.  The keeper takes those of a fixed list
// alone (docs/design.md); a value that is not there was too long or cannot be
// had: size 0.
struct RecordedOption {
  uint64_t inode;
  int32_t level;
  int32_t name;
  uint32_t size;
};
// in6_flowlabel_req of linux/in6.h is the largest that is no program.
constexpr unsigned kLargestRecorded = 32;
// Fds with higher numbers are not looked at (nr_open of proc_sys_fs(5)).
constexpr uint32_t kMostNumber = 1U << 20;
// 256 instructions.
constexpr unsigned kLargestProgram = 2048;

struct OptionMessage {
  WireHeader header;
  uint32_t epoch;
  RecordedOption option;
};

struct ClaimMessage {
  WireHeader header;
  uint32_t entry;
  uint32_t pad;
  uint64_t shared;  // inode of the fresh socket, if other processes may have it; else 0
};

struct ExchangeMessage {
  WireHeader header;
  uint32_t entry;
  uint32_t pad;
  uint64_t inode;  // of the fresh socket
};

struct ParkMessage {
  WireHeader header;
  FdEntry entry;
};

struct UnparkMessage {
  WireHeader header;
  uint64_t inode;
};

struct SweepMessage {
  WireHeader header;
  // 1: the process is about to execute another program, whose closes nobody
  // tells: all that it has counts as closed.
  uint32_t executes;
  uint32_t port;  // of those bound to it alone, host order; 0: of all
};

// Name of a socket in the fd store: this, then the ParkKey in hexadecimal.
constexpr char kStoredPrefix[] = "udpcr-";
// What a keeper that was killed has left there: no socket, and nobody's.
constexpr char kStoredTest[] = "udpcr-test";
// All names together are one variable of the environment: 128 KiB at most
// (MAX_ARG_STRLEN of binfmts.h, Linux 6.1), or the program cannot be executed.
constexpr unsigned kMostStored = 1024;

struct StoredMessage {
  WireHeader header;
  uint32_t count;
  uint32_t pad;
};

struct ReadyMessage {
  WireHeader header;
  uint32_t entries;     // of the table
  uint32_t inherited;   // fds that follow in `inherit` messages
  uint32_t abort;       // 1: UDPCR_ON_ERROR=abort, and something was not restored
  uint32_t names_size;  // bytes that follow; no NUL
};

// Whom a restored socket is to signal (fcntl(2), F_SETOWN_EX).  The program sets
// it itself: the kernel notes the rights of whoever does, and signals with them.
struct SocketOwner {
  int32_t type;    // F_OWNER_*
  int32_t pid;     // 0: nobody; kOwnerSelf: the process that gets the socket
  int32_t signal;  // F_SETSIG; 0: SIGIO
};
constexpr int32_t kOwnerSelf = -1;

struct InheritMessage {
  WireHeader header;
  uint32_t count;
  struct {
    int32_t fd;
    uint32_t flags;  // kFdCloexec, kFdAsync
    SocketOwner owner;
  } fds[kFdsPerPart];
};

struct OthersMessage {
  WireHeader header;
};

struct ClaimedMessage {
  WireHeader header;
  // 0, or an errno: EALREADY taken, ETIME expired, ENOENT.  Of others: 0 none,
  // EAGAIN ask again, EBUSY one does not tell.
  int32_t status;
};

// The keeper's signal to a thread: rt_tgsigqueueinfo with SI_QUEUE and this
// value, which no kill(1) sends, and the epoch in the lower half.
constexpr uint32_t kSignalMagic = 0x75647063;  // "udpc"
// The same, for a message of type exchange.
constexpr uint32_t kExchangeMagic = 0x75647078;  // "udpx"

}  // namespace udpcr::wire
