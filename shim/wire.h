// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the shim and the keeper say to each other.
//
// Every process of a program's tree has a channel of its own to the keeper: a
// SOCK_SEQPACKET socket pair, one message a packet, each behind a WireHeader.
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
//                 (OthersMessage)
//     joined      by a child of fork, the first message on its own channel, before
//                 `forked` passes the keeper's end (WireHeader): the kernel tells
//                 with it who the child is
//     identified  answer to identify (IdentifyMessage)
//     made        answer to make (MadeMessage; fds: the socket)
//     knock       a process waits and has seen no sign of life: the keeper is to raise
//                 `progress` of the page, or to notice that it was given up
//                 (WireHeader); not answered
//     probe       to a keeper service, in the place of start: is anything parked
//                 for this program? (ProbeMessage)
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
//     claimed     answer to claim, release, give_back, unpark and sweep
//                 (ClaimedMessage; fds: the socket)
//     identify    a random number that is to come back: the kernel tells who
//                 answers (IdentifyMessage).  By a keeper service, before accepted;
//                 by other keepers, where the kernel does not give a pidfd with
//                 `joined` (before Linux 6.5)
//     accepted    by a keeper service, in answer to start (AcceptedMessage)
//     make        by a keeper service, before ready: a new socket is wanted, which
//                 is the program's by its user, cgroup, label and network namespace
//                 (MakeMessage)
//     found       answer to probe (FoundMessage)
//
// During a checkpoint the keeper answers through the shared page alone: a
// handler needs sendmsg, poll and futex, nothing else.  The keeper reads
// nothing from the page that it would have to trust.
#pragma once

#include <limits.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <udpcr/image_header.h>

#include "settings.h"

namespace udpcr::wire {

constexpr uint32_t kVersion = 6;

// SCM_MAX_FD of include/net/scm.h, Linux 6.1.
constexpr unsigned kMaxFds = 253;
// FdEntry records a message: room for stderr beside them.
constexpr unsigned kFdsPerPart = 250;
// Sockets handed down that a hello tells of.
constexpr unsigned kMostLive = 64;
// Text of LISTEN_FDNAMES; more is left out.
constexpr unsigned kMostNames = 4096;
// Largest packet, header included.
constexpr unsigned kMaxPacket = 96 * 1024;

enum class Type : uint32_t {
  start = 1,
  hello,
  forked,
  checkpoint,
  claim,
  release,
  ready,
  inherit,
  claimed,
  option,
  give_back,
  exchange,
  exchanged,
  park,
  unpark,
  sweep,
  stored,
  identify,
  identified,
  accepted,
  make,
  made,
  probe,
  found,
  others,
  joined,
  knock,
};

struct WireHeader {
  Type type;
  uint32_t version;  // kVersion
};

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

// Of AcceptedMessage::why.
constexpr unsigned kLongestRefusal = 400;

struct AcceptedMessage {
  WireHeader header;
  uint32_t refused;           // 1: there will be no keeper
  char why[kLongestRefusal];  // with its NUL, a sentence with the remedy
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
  uint32_t pad;
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

// A keeper that keeps sockets open for the next start of its program listens at
// an abstract Unix socket (tools/keeper/park/talk.hpp) with this name, a hash of
// the image's path and of its user (park_hash) in 16 hexadecimal digits, '/' and the
// first number below kFixedNames that is free; where others hold them all, a random
// one, until one of these is free again.  It answers a ParkProbe with one byte:
// whether it has any that the asker may take.
constexpr char kParkName[] = "udpcr-park/";
constexpr unsigned kFixedNames = 8;

// Whose names these are: others' do not stand in their way by accident.
struct NameOwner {
  uint64_t network = 0;         // SO_NETNS_COOKIE, where that is not the keeper's own; else 0
  uint64_t user_namespace = 0;  // inode
  uint64_t uid = 0;             // effective, of the program at its start
};

inline uint64_t park_hash(uint64_t image, const NameOwner& owner) {
  return udpcr_identity_hash(image, &owner, sizeof owner);
}

// Every keeper listens at such a name too, and tells whoever connects with one byte
// whether it still has sockets of a program that has ended, which it is about to
// close (tools/keeper/presence.hpp).
constexpr char kPresenceName[] = "udpcr-keeper/";
constexpr char kPresenceEnding = 'e';
constexpr char kPresenceStays = 's';

// Who a parked socket is for, as the module keeps it beside the socket.
struct ParkKey {
  uint32_t version = 1;
  uint32_t flags = 0;       // kFd*: how it was bound, close-on-exec
  uint64_t image = 0;       // udpcr_identity_hash of the image's path
  uint64_t executable = 0;  // udpcr_identity_hash of its path
  uint64_t arguments = 0;   // of all, each with its NUL
  int32_t number = -1;      // fd
  int32_t pid = 0;          // of the process that had it, as its keeper saw it
  uint32_t sequence = 0;    // in the order in which they were bound
  uint32_t seconds = 0;     // UDPCR_PARK_SECONDS of the program

  // Whether a program with the key `mine` may have it.
  [[nodiscard]] bool is_for(const ParkKey& mine, Match match) const {
    if (version != mine.version || image != mine.image) return false;
    if (match == Match::any) return true;
    return executable == mine.executable && (match == Match::exe || arguments == mine.arguments);
  }
};

constexpr unsigned kParkKeySize = sizeof(ParkKey);

struct ParkProbe {
  uint32_t version = kVersion;
  Match match = Match::argv;
  ParkKey mine;
};

// To a keeper service, whose network namespace may be another than the program's.
struct ProbeMessage {
  WireHeader header;
  ParkProbe probe;
};

struct FoundMessage {
  WireHeader header;
  uint32_t parked;  // 1: somebody holds sockets for it
};

// How long a process waits for a keeper that shows no sign of life: this many
// waits of this length, each of which it has really slept.  A program, a keeper or a
// machine that stands still for a while costs one of them, however long that is.
constexpr int kSliceMs = 100;
constexpr int kPatienceSlices = 10;

// The shared page: a memfd sealed against shrinking, made by whoever starts
// the keeper, mapped by every process of the tree.
enum class PageState : uint32_t { idle = 0, freezing = 1 };
enum class Verdict : uint32_t { resume = 0, exit_ = 1 };

struct SharedPage {
  uint32_t version;  // kVersion
  // The checkpoint going on or, when idle, the next: epoch_after() of the last.
  // Handlers wait on it (futex) until it changes.  Keeper and waiting program both
  // end it by compare-and-swap: whoever comes second has to abide by it.
  uint32_t epoch;
  PageState state;
  uint32_t parked[2];  // threads that wait in their handler, by parked_index()
  int32_t keeper_pid;  // as the keeper sees itself; for messages only
  uint32_t scan_to;    // handlers look for sockets at all numbers below, at least
  uint32_t parking;    // 1: sockets of this tree are parked, so that a close must be told
  // The keeper's loop raises it with each message and, as long as it has something
  // to do, at least once in kSliceMs.  0: it has not run yet.
  uint32_t progress;
  // 1: the program waits for this keeper no more and asks it nothing; it ends.
  uint32_t given_up;
};

// What becomes of the epoch when its checkpoint has ended: the verdict and the end
// are one word, so that no thread can see one without the other.
constexpr uint32_t kEpochExit = 1;
constexpr uint32_t epoch_after(uint32_t epoch, Verdict verdict) {
  return (epoch | kEpochExit) + 1 + (verdict == Verdict::exit_ ? kEpochExit : 0);
}
constexpr bool tells_to_exit(uint32_t epoch) { return (epoch & kEpochExit) != 0; }
constexpr unsigned parked_index(uint32_t epoch) { return epoch >> 1 & 1; }

constexpr unsigned kPageSize = 4096;

// The keeper's signal to a thread: rt_tgsigqueueinfo with SI_QUEUE and this
// value, which no kill(1) sends, and the epoch in the lower half.
constexpr uint32_t kSignalMagic = 0x75647063;  // "udpc"
// The same, for a message of type exchange.
constexpr uint32_t kExchangeMagic = 0x75647078;  // "udpx"

// The table of restored sockets (UDPCR_FDS=adopt): a sealed memfd, written by
// the keeper.  Entries stand in the order of the image, so that among equal
// ones the first that is not taken is the right one.
enum class EntryState : uint32_t { held = 0, taken = 1, gone = 2 };

struct TableEntry {
  EntryState state;  // the keeper's word; shim reads it atomically
  uint16_t family;
  uint16_t protocol;
  uint16_t local_port;  // host order; the port asked for: 0 when bound to port 0
  uint16_t peer_port;   // host order; 0: not connected
  uint32_t flags;       // kFdBound*: how it was bound; kFdAsync
  uint32_t local_scope;
  uint32_t peer_scope;
  uint16_t actual_port;  // host order: the port that it holds
  uint16_t pad;
  uint8_t local_address[16];
  uint8_t peer_address[16];
  char device[16];
  uint64_t netns_cookie;  // SO_NETNS_COOKIE; 0: not known
  SocketOwner owner;
  uint32_t pad2;
};

struct Table {
  uint32_t version;  // kVersion
  uint32_t entries;
  TableEntry entry[];
};

}  // namespace udpcr::wire
