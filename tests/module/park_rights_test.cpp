// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Whose a park is: a user's of a user namespace, with the rights that he had.
// And parks of other network namespaces: listed for the host, counted, short.
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <initializer_list>

#include "park.hpp"
#include "refusal.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

namespace {

constexpr unsigned kUser = 1000;
constexpr const char* kMostElsewhere = "/sys/module/udpcr/parameters/max_park_seconds_netns";
constexpr int kSoNetnsCookie = 71;

// Keeps of all capabilities these; for good, as a container's root.
void keep_only(std::initializer_list<int> kept) {
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  for (const int one : kept) {
    sets[one / 32].permitted |= 1U << (one % 32);
    sets[one / 32].effective |= 1U << (one % 32);
  }
  demand(::syscall(SYS_capset, &head, sets) == 0, "capset");
}

// Before keep_only(), which gives up the right to.
void bound_to(std::initializer_list<int> kept) {
  for (int one = 0; one <= CAP_LAST_CAP; ++one) {
    if (std::find(kept.begin(), kept.end(), one) != kept.end()) continue;
    // Of newer kernels' capabilities an older one has none.
    demand(::prctl(PR_CAPBSET_DROP, one) == 0 || errno == EINVAL, "PR_CAPBSET_DROP");
  }
}

// As a container runtime leaves them to root, of which none is over a network.
void become_container_root() {
  const std::initializer_list<int> kLeft = {
      CAP_CHOWN, CAP_DAC_OVERRIDE,     CAP_FOWNER,  CAP_SETUID,     CAP_SETGID,
      CAP_KILL,  CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SYS_CHROOT, CAP_AUDIT_WRITE};
  bound_to(kLeft);
  keep_only(kLeft);
}

// As the keeper service of the unit leaves a session, and a keeper that serves in its place.
void become_session(bool of_unit) {
  if (of_unit) bound_to({CAP_SETUID, CAP_SETGID, CAP_SYS_ADMIN, CAP_SYS_PTRACE});
  keep_only({});
}

void enter_user_namespace() {
  const unsigned uid = ::geteuid();
  demand(::unshare(CLONE_NEWUSER) == 0, "unshare");
  demand(write_file("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1"), "uid_map");
}

// Every way to another's park.
void nothing_to_be_had(Talk& talk, std::uint64_t inode, const std::string& word) {
  demand(!is_parked(talk, inode), "it is listed");
  demand_like(talk.ask(claim_of(inode, "k")), EPERM, {std::to_string(inode), word});
  demand_like(talk.ask(claim_of(inode)), EPERM, {word});
  demand_like(talk.ask(unpark_of(inode)), EPERM, {word});
  demand_like(talk.ask(Request(UDPCR_CMD_SOCKET).u64(UDPCR_A_INO, inode)), EPERM, {});
  demand_like(talk.dump(parked_everywhere()), EPERM, {"UDPCR_A_ALL_NETNS"});
}

std::uint64_t netns_inode() {
  struct stat status {};
  demand(::stat("/proc/self/ns/net", &status) == 0, "stat of the network namespace");
  return status.st_ino;
}

std::uint64_t netns_cookie(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  demand(::getsockopt(fd, SOL_SOCKET, kSoNetnsCookie, &cookie, &size) == 0, "SO_NETNS_COOKIE");
  return cookie;
}

std::vector<Message> with_inode(const std::vector<Message>& all, std::uint64_t inode) {
  std::vector<Message> found;
  for (const Message& one : all) {
    if (one.u64(UDPCR_A_INO) == inode) found.push_back(one);
  }
  return found;
}

}  // namespace

TEST_CASE("park: uid 0 without the capabilities of who parked has nothing of it: EPERM",
          "[smoke][park]") {
  const Left left = leave_one([] { return socket_at(address("127.0.0.1")); });
  const auto bare = [] { keep_only({}); };
  for (const std::function<void()>& become :
       {std::function<void()>(bare), std::function<void()>(become_container_root)}) {
    CHECK(in_child([&] {
            become();
            Talk talk;
            nothing_to_be_had(talk, left.inode, "CAP_NET_ADMIN");
            // An fd of it does not help: it is root's to renew.
            const UniqueFd own = socket_at(address("127.0.0.1"));
            talk.must(park_of(own.get(), "k"));
            demand(parked(talk).size() == 1, "not only the own one is listed");
            talk.must(unpark_of(inode_of(own.get())));
          }) == "");
    // Through a netlink socket from before it gave its capabilities up.
    CHECK(in_child([&] {
            Talk talk;
            become();
            nothing_to_be_had(talk, left.inode, "CAP_NET_ADMIN");
          }) == "");
    // What it slips to root as something to write to.
    CHECK(in_child([&] {
            Talk talk;
            const Pair through = pair();
            demand(in_child([&] {
                     become();
                     const Talk mine;
                     send_fd(through.ends[0].get(), mine.fd());
                   }) == "",
                   "the other one");
            talk.adopt(receive_fd(through.ends[1].get()));
            talk.send_by_write();
            demand_like(talk.ask(unpark_of(left.inode)), EPERM, {"CAP_NET_ADMIN"});
          }) == "");
  }
  Talk talk;
  CHECK(inode_of(claim(talk, left.inode).get()) == left.inode);
}

TEST_CASE("park: whoever has all that the parker was permitted may claim", "[smoke][park]") {
  const Left left = leave_one([] {
    keep_only({CAP_NET_RAW, CAP_CHOWN});
    return socket_at(address("127.0.0.1"));
  });
  for (const bool raw : {false, true}) {
    CHECK(in_child([&] {
            raw ? keep_only({CAP_NET_RAW}) : keep_only({CAP_CHOWN});
            Talk talk;
            nothing_to_be_had(talk, left.inode, "rights you lack");
          }) == "");
  }
  CHECK(in_child([&] {
          keep_only({CAP_NET_RAW, CAP_CHOWN, CAP_KILL});
          Talk talk;
          demand(parked(talk).size() == 1, "it is not listed");
          demand_like(talk.ask(claim_of(left.inode)), EKEYREJECTED, {std::to_string(left.inode)});
          demand(inode_of(claim(talk, left.inode).get()) == left.inode, "another socket");
        }) == "");
}

TEST_CASE("park: keepers of root without a capability share, a container's root has none",
          "[smoke][park]") {
  for (const bool by_unit : {false, true}) {
    const Left left = leave_one([&] {
      become_session(by_unit);
      return socket_at(address("127.0.0.1"));
    });
    for (const bool bare : {false, true}) {
      CHECK(in_child([&] {
              become_container_root();
              if (bare) keep_only({});
              Talk talk;
              nothing_to_be_had(talk, left.inode, "rights you lack");
            }) == "");
    }
    CHECK(in_child([&] {
            become_session(!by_unit);
            Talk talk;
            demand(inode_of(claim(talk, left.inode).get()) == left.inode, "another socket");
          }) == "");
  }
}

TEST_CASE("park: a user of another user namespace has the same number and no right: EPERM",
          "[smoke][park]") {
  const auto users = [] {
    become_user(kUser);
    return socket_at(address("127.0.0.1"));
  };
  const Left outside = leave_one(users);
  CHECK(in_child([&] {
          become_user(kUser);
          enter_user_namespace();  // root there, with all capabilities of that one
          Talk talk;
          nothing_to_be_had(talk, outside.inode, "rights you lack");
        }) == "");
  // And the other way round; within one namespace it works.
  const Pair through = pair();
  CHECK(in_child([&] {
          become_user(kUser);
          enter_user_namespace();
          const Left inside = leave_one([] { return socket_at(address("127.0.0.1")); });
          Talk talk;
          demand(parked(talk).size() == 1, "not only the own one is listed");
          demand(inode_of(claim(talk, inside.inode).get()) == inside.inode, "another socket");
          const Left stays = leave_one([] { return socket_at(address("127.0.0.1")); });
          demand(::send(through.ends[0].get(), &stays.inode, sizeof stays.inode, 0) ==
                     sizeof stays.inode,
                 "send");
        }) == "");
  std::uint64_t inside = 0;
  REQUIRE(::recv(through.ends[1].get(), &inside, sizeof inside, 0) == sizeof inside);
  CHECK(in_child([&] {
          become_user(kUser);
          Talk talk;
          demand_like(talk.ask(claim_of(inside, "k")), EPERM, {"rights you lack"});
          demand(parked(talk).size() == 1, "not only the own one is listed");
          demand(inode_of(claim(talk, outside.inode).get()) == outside.inode, "another socket");
        }) == "");
  // CAP_NET_ADMIN over the network namespace is above it.
  Talk talk;
  CHECK(inode_of(claim(talk, inside).get()) == inside);
}

TEST_CASE("park: outside of the initial network namespace 300 seconds at most, of all listed",
          "[smoke][park]") {
  UniqueFd near = socket_at(address("127.0.0.1"));
  UniqueFd initial;
  std::uint64_t initial_inode = 0;
  {
    const In there(Net::initial);
    initial = socket_at(address("127.0.0.1"));
    initial_inode = netns_inode();
    Talk().must(park_of(initial.get(), "k", 3600));
  }
  Talk talk;
  talk.must(park_of(near.get(), "k", 3600));
  // 60 seconds stay 60.
  const UniqueFd brief = socket_at(address("127.0.0.1"));
  talk.must(park_of(brief.get(), "k", 60));
  CHECK(parked_one(talk, inode_of(near.get())).u32(UDPCR_A_SECONDS) == 300);
  CHECK(parked_one(talk, inode_of(brief.get())).u32(UDPCR_A_SECONDS) == 60);
  // From any network namespace.
  for (const Net net : {Net::near, Net::initial}) {
    const In there(net);
    Talk mine;
    const auto all = mine.must_dump(parked_everywhere());
    const auto here = with_inode(all, inode_of(near.get()));
    const auto elsewhere = with_inode(all, inode_of(initial.get()));
    REQUIRE(here.size() == 1);
    REQUIRE(elsewhere.size() == 1);
    CHECK(here[0].u32(UDPCR_A_SECONDS) == 300);
    CHECK(elsewhere[0].u32(UDPCR_A_SECONDS) == 3600);
    CHECK(here[0].u64(UDPCR_A_NETNS_COOKIE) == netns_cookie(near.get()));
    CHECK(elsewhere[0].u64(UDPCR_A_NETNS_COOKIE) == netns_cookie(initial.get()));
    CHECK(elsewhere[0].u64(UDPCR_A_NETNS_INO) == initial_inode);
    CHECK(parked(mine).size() == (net == Net::near ? 2 : 1));
  }
  CHECK(parked_one(talk, inode_of(near.get())).u64(UDPCR_A_NETNS_INO) == netns_inode());
  // Neither a user nor a container's root is told.
  CHECK(in_child([] {
          become_user(kUser);
          demand_like(Talk().dump(parked_everywhere()), EPERM, {"CAP_NET_ADMIN"});
          enter_own_namespaces();
          demand_like(Talk().dump(parked_everywhere()), EPERM, {"CAP_NET_ADMIN"});
        }) == "");
  talk.must(unpark_of(inode_of(near.get())));
  talk.must(unpark_of(inode_of(brief.get())));
  const In there(Net::initial);
  Talk().must(unpark_of(inode_of(initial.get())));
}

TEST_CASE("park: network namespaces that nobody is in end with their parks", "[smoke][park]") {
  const int before = module_references();
  Left initial;
  {
    const In there(Net::initial);
    initial = leave_one([] { return socket_at(address("127.0.0.1")); }, 3600);
  }
  constexpr int kMany = 20;
  for (int i = 0; i < kMany; ++i) {
    CHECK(in_child([] {
            become_user(kUser);
            enter_own_namespaces();
            Talk().must(park_of(socket_at(address("0.0.0.0")).get(), "forgotten", 86400));
          }) == "");
  }
  Talk talk;
  const auto all = talk.must_dump(parked_everywhere());
  CHECK(std::count_if(all.begin(), all.end(), [](const Message& one) {
          return text(one.bytes(UDPCR_A_KEY)) == "forgotten" && one.u32(UDPCR_A_UID) == kUser &&
                 one.u32(UDPCR_A_SECONDS) == 300;
        }) == kMany);
  {
    const Setting soon(kMostElsewhere, "1");
    await("the end of the forgotten ones", [&] { return module_references() == before + 1; });
  }
  const In there(Net::initial);
  Talk mine;
  CHECK(is_parked(mine, initial.inode));
  claim(mine, initial.inode);
}

TEST_CASE("park: a user's parks are counted in all network namespaces", "[park]") {
  const Setting few("/sys/module/udpcr/parameters/max_park_seconds_netns", "3600");
  const Setting limit("/sys/module/udpcr/parameters/max_parked", "3");
  const int before = module_references();
  const auto park_two = [](bool whole) {
    const UniqueFd fds[2] = {socket_at(address("0.0.0.0")), socket_at(address("0.0.0.0"))};
    Talk talk;
    talk.must(park_of(fds[0].get(), "k", 3));
    if (whole) {
      talk.must(park_of(fds[1].get(), "k", 3));
    } else {
      demand_like(talk.ask(park_of(fds[1].get(), "k", 3)), EDQUOT, {"3 sockets", "max_parked"});
    }
  };
  CHECK(in_child([&] {
          become_user(kUser);
          enter_own_namespaces();
          park_two(true);
        }) == "");
  CHECK(in_child([&] {
          become_user(kUser);
          enter_own_namespaces();
          park_two(false);
        }) == "");
  await("their end", [&] { return module_references() == before; });
}

TEST_CASE("park: a large reuseport group is listed in time that grows with it only", "[park]") {
  constexpr std::size_t kSizes[] = {1000, 4000};
  std::uint64_t best[2] = {~std::uint64_t{0}, ~std::uint64_t{0}};
  for (int which = 0; which < 2; ++which) {
    const auto left = leave([&] {
      const rlimit files{8192, 16384};
      demand(::setrlimit(RLIMIT_NOFILE, &files) == 0, "RLIMIT_NOFILE");
      std::vector<UniqueFd> made;
      Address where = address("127.0.0.1");
      for (std::size_t i = 0; i < kSizes[which]; ++i) {
        made.push_back(unbound(AF_INET));
        set(made.back().get(), SOL_SOCKET, SO_REUSEPORT, 1);
        bind_to(made.back().get(), where);
        where = local_of(made.back().get());
      }
      return made;
    });
    Talk talk;
    // The best of some: others want the processor too.
    for (int round = 0; round < 5; ++round) {
      const std::uint64_t start = boottime();
      const auto listed = parked(talk);
      best[which] = std::min(best[which], boottime() - start);
      REQUIRE(listed.size() == left.size());
      for (const Message& one : listed)
        REQUIRE((one.u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_REUSEPORT_SIBLINGS) == 0);
    }
    // One member that is read is seen by all of the others.
    const UniqueFd read = claim(talk, left[kSizes[which] / 2].inode);
    for (const Message& one : parked(talk))
      REQUIRE((one.u32(UDPCR_A_SOCK_FLAGS) & UDPCR_SOCK_REUSEPORT_SIBLINGS) != 0);
    for (const Left& one : left) {
      if (one.inode != inode_of(read.get())) talk.must(unpark_of(one.inode));
    }
  }
  ::printf("a reuseport group of 1,000 parked sockets is listed in %.1f ms, of 4,000 in %.1f ms\n",
           static_cast<double>(best[0]) / 1e6, static_cast<double>(best[1]) / 1e6);
  ::fflush(stdout);
  // Four times the sockets; looking at each for each would be sixteen.
  CHECK(best[1] < 8 * best[0]);
}
