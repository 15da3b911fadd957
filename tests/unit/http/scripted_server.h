#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace bobby::net {

/// A server on loopback that answers one connection after the other with what its script says,
/// byte by byte as it stands there, and closes it; the last answer is repeated.
class ScriptedServer {
 public:
  /// Of each answer: "HTTP/1.1 200 OK\r\n...". An empty one is never given: the connection stays
  /// open until the server goes.
  explicit ScriptedServer(std::vector<std::string> script);
  /// What is answered to a request, its head and body; from the server's own thread.
  using Reply = std::function<std::string(const std::string& request)>;
  explicit ScriptedServer(Reply reply);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::string url() const;
  int connections() const { return connections_; }
  /// The head and the body of each request so far.
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve();

  Reply reply_;
  int listener_ = -1;
  int port_ = 0;
  std::vector<int> silent_;
  std::atomic<int> connections_{0};
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

/// A whole answer with a body, and more header lines if need be ("Retry-After: 1\r\n").
std::string answer(int status, const std::string& body, const std::string& headers = {});

}  // namespace bobby::net
