#pragma once

#include <atomic>
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

  std::vector<std::string> script_;
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
