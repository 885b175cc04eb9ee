// A protobuf message while it is parsed or built. Its parts are not made for std::bad_alloc: one
// that memory ran out for is not even fit for its destructor, and is left where it lies, with what
// it had.
//
//   UnfinishedMessage<onnx::ModelProto> model;
//   Fill(model.get());              // may throw
//   return std::move(*model);
#ifndef SLUICE_BASE_UNFINISHED_MESSAGE_H_
#define SLUICE_BASE_UNFINISHED_MESSAGE_H_

#include <exception>

namespace sluice {

template <typename Message>
class UnfinishedMessage {
 public:
  UnfinishedMessage() = default;
  ~UnfinishedMessage() {
    if (std::uncaught_exceptions() == exceptions_) delete message_;
  }
  UnfinishedMessage(const UnfinishedMessage&) = delete;
  UnfinishedMessage& operator=(const UnfinishedMessage&) = delete;

  Message* get() { return message_; }
  Message* operator->() { return message_; }
  Message& operator*() { return *message_; }

 private:
  const int exceptions_ = std::uncaught_exceptions();
  Message* const message_ = new Message();
};

}  // namespace sluice

#endif  // SLUICE_BASE_UNFINISHED_MESSAGE_H_
