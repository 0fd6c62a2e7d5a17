// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The keeper's life: it listens to the processes of one program's tree and
// ends when none is left.
#pragma once

#include <list>
#include <memory>
#include <optional>

#include "control.hpp"
#include "gather.hpp"
#include "held.hpp"
#include "keeper/park/answers.hpp"
#include "keeper/park/parks.hpp"
#include "presence.hpp"
#include "shared_claims.hpp"
#include "told_options.hpp"
#include "watch.hpp"

namespace udpcr::keeper {

class Keeper {
 public:
  // `own`: the program's alone, which started it; `service`: a session of a keeper
  // service, whose paths, network and user may be others than the program's were
  // it not for what it is given.
  enum class Origin : std::uint8_t { own, service };
  // `start` is the first packet of `channel`, with its sender.  Throws Error.
  Keeper(UniqueFd channel, Packet& start, Log& log, Origin origin = Origin::own);

  // Of a session: see Parks.
  void share_parks(Parks::Share share) { parks_.share_with(std::move(share)); }

  // Returns when every process of the program has ended.
  void run();

 private:
  struct Client {
    UniqueFd fd;
    pid_t pid = 0;  // of the process that it has asked for
    bool asked = false;
    bool served = false;  // by the checkpoint going on, which began after the request
    bool restarts = false;
  };

  void add_process(Process process);
  // A child of `parent`, which has passed its channel on.  Throws Error.
  void take_in(const Process& parent, Packet& packet);
  // A message of the process is refused.
  void refuse(Process& process, const std::string& why);
  // True: a name is still another keeper's.
  bool await_control_names();
  void read_channel(Process& process);
  void handle(Process& process, Packet& packet);
  void hello(Process& process, Packet& packet);
  void take_fds(Process& process, Packet& packet);
  void take_option(const Process& process, const Packet& packet);
  void answer_claim(Process& process, Packet& packet);
  void tell_of_others(const Process& process);
  // To another start: see Presence.
  void tell_of_us() const;
  // Before a start takes anything: bounded, and logged.
  void await_others();
  void park(Process& process, Packet& packet);
  void unpark(Process& process, const Packet& packet);
  void read_client(Client& client);
  [[nodiscard]] bool is_here(pid_t pid) const;
  void forget_ended();

  // A checkpoint goes through these in turn.
  void begin_checkpoint();
  bool may_write_image();
  void step_gathering();
  void step();
  // Its sockets are kept open from here on, until undo_parks().
  void park_gathered();
  void undo_parks();
  // How the checkpoint going on is made.  False: a restart that nobody waits for.
  bool choose_settings();
  void start_worker();
  void end_worker();
  void end_in_failure(const Report& report);
  void worker_has_ended(int status);
  void watch_worker();
  // Its exit status, as of waitpid(2); one that does not end by itself is killed.
  int await_worker();
  void fail_checkpoint(const std::string& why);
  void answer_clients(const Report& report);
  [[nodiscard]] bool busy() const { return gathering_ || worker_channel_; }

  // What poll(2) waits for; `process` or `client` where it is one of those.
  struct Source {
    int fd;
    Process* process = nullptr;
    Client* client = nullptr;
    bool of_parks = false;
    bool of_signal = false;
    bool of_presence = false;
  };
  std::vector<Source> sources();
  // A process of the program that lives; 0: none.
  [[nodiscard]] pid_t living() const;
  void serve(const Source& source);
  void end_program();
  // The program has given this keeper up: it lets go of all that it holds.
  void abandon();
  int patience();

  // Goes when all sockets are closed.
  Presence presence_;
  bool others_given_up_ = false;
  Origin origin_;
  Settings settings_{};
  ImageFolder folder_;
  Log& log_;
  std::unique_ptr<Page> page_;
  std::list<Process> processes_;
  std::list<Client> clients_;
  std::optional<Identity> identity_;
  ToldOptions told_;
  Parks parks_;
  ParkAnswers park_answers_;
  HeldSockets held_;
  SharedClaims shared_claims_;
  UniqueFd image_claim_;

  UniqueFd end_signal_;  // SIGTERM
  bool told_to_end_ = false;
  bool told_of_many_ = false;  // processes
  bool wanted_ = false;        // a checkpoint was asked for while another went on
  std::optional<Gathering> gathering_;
  bool restart_ = false;  // what it is gathered for
  Settings checkpoint_settings_{};
  UniqueFd worker_channel_;
  pid_t worker_ = 0;
  unsigned unread_reports_ = 0;              // attempts in a row
  std::unique_ptr<Watch> watch_;             // of the worker
  std::vector<std::uint64_t> newly_parked_;  // by the checkpoint going on
  Gathered gathered_;                        // while the worker reads: for putting things right
  std::vector<ReadingState> reading_states_;
};

// `udpcr keeper FD`, started by the shim and by `udpcr run`; `udpcr keeper
// --listen PATH`.
int keeper_main(int argc, char** argv);

}  // namespace udpcr::keeper
