// One row a format; CONTRIBUTING.md says how another is added. The order counts among rows that are
// equally like a file: what is more special stands first.
#include "exchange/foreign_formats.h"
#include "exchange/formats.h"
#include "exchange/graph_file.h"
#include "exchange/onnx_model.h"
#include "exchange/text_file.h"

namespace sluice {
namespace {

template <size_t kSize>
Likeness Begins(const Sight& sight, const char (&bytes)[kSize], size_t at = 0) {
  const absl::string_view magic(bytes, kSize - 1);  // which may hold a NUL
  return sight.Holds(magic, at) ? Likeness::kCertain : Likeness::kNone;
}

constexpr Format kFormats[] = {
    {.name = "an ONNX model",
     .doc = "ONNX, opsets 6 to 27; written with the oldest opset that will do, 21 at least",
     .suffixes = {".onnx"},
     .sniff = LooksLikeOnnx,
     .read = ReadOnnxModel,
     .write = WriteOnnxModel,
     .id = ModelFormat::kOnnx},
    {.name = "a model in one file",
     .doc = "one file with graph and weights: a safetensors file",
     .suffixes = {".sluice"},
     .sniff = LooksLikeGraphFile,
     .read = ReadGraphFile,
     .write = WriteGraphFile,
     .id = ModelFormat::kFile,
     .holds_packed = true,
     .holds_default_inputs = true},
    {.name = "a model as text",
     .doc = "text to read and edit; larger weights lie in a safetensors file beside it",
     .suffixes = {".sluice.txt", ".txt"},
     .sniff = LooksLikeText,
     .read = ReadText,
     .write = WriteText,
     .id = ModelFormat::kText,
     .holds_default_inputs = true},
    {.name = "a model folder",
     .doc = "a folder with graph.pb and weights; also meant by a name without an ending",
     .suffixes = {"/"},
     .sniff = LooksLikeGraphFolder,
     .read = ReadGraphFolder,
     .write = WriteGraphFolder,
     .id = ModelFormat::kFolder,
     .holds_default_inputs = true},

    // What is only named.
    {.name = "the graph of a model folder by itself",
     .sniff = LooksLikeGraphPb,
     .instead = "name its folder"},
    {.name = "a pointer of Git LFS, not the model",
     .sniff = LooksLikeGitLfsPointer,
     .instead = "fetch the model itself (git lfs pull)"},
    {.name = "an OpenVINO IR",
     .suffixes = {".xml"},
     .sniff = LooksLikeOpenVino,
     .instead = "nothing turns one back into ONNX: export the model that it was made from"},
    {.name = "a web page or XML, not a model",
     .sniff = LooksLikeMarkup,
     .instead = "see in it what the server said, and download the model itself"},
    {.name = "a TensorFlow SavedModel",
     .sniff = LooksLikeSavedModel,
     .instead = "convert its folder to ONNX: python -m tf2onnx.convert --saved-model FOLDER "
                "--output model.onnx"},
    {.name = "a TensorFlow GraphDef",
     .suffixes = {".pb"},
     .sniff = LooksLikeTensorFlowGraph,
     .instead = "convert it to ONNX: python -m tf2onnx.convert --graphdef FILE --inputs NAME:0 "
                "--outputs NAME:0 --output model.onnx"},
    {.name = "a TensorFlow Lite model",
     .suffixes = {".tflite"},
     .sniff = [](const Sight& s) { return Begins(s, "TFL3", 4); },
     .instead = "convert it to ONNX: python -m tf2onnx.convert --tflite FILE --output model.onnx"},
    {.name = "an HDF5 file, as of Keras",
     .suffixes = {".h5", ".hdf5"},
     .sniff = [](const Sight& s) { return Begins(s, "\x89HDF\r\n\x1A\n"); },
     .instead = "load it in Keras and export it as ONNX: model.export(\"model.onnx\", "
                "format=\"onnx\")"},
    {.name = "a PyTorch archive",
     .suffixes = {".pt", ".pth"},
     .sniff = LooksLikePyTorchZip,
     .instead = "load it in PyTorch and export the model as ONNX: torch.onnx.export(model, inputs, "
                "\"model.onnx\")"},
    {.name = "a PyTorch file of before 1.6",
     .sniff =
         [](const Sight& s) { return Begins(s, "\x80\x02\x8A\nl\xFC\x9C\x46\xF9 j\xA8P\x19"); },
     .instead = "load it in PyTorch and export the model as ONNX: torch.onnx.export(model, inputs, "
                "\"model.onnx\")"},
    {.name = "an ONNX Runtime model",
     .suffixes = {".ort"},
     .sniff = [](const Sight& s) { return Begins(s, "ORTM", 4); },
     .instead = "name the ONNX model that it was made from"},
    {.name = "an npz archive of NumPy arrays",
     .suffixes = {".npz"},
     .sniff = LooksLikeNpz,
     .instead = "arrays alone are no model"},
    {.name = "a zip archive",
     .sniff = [](const Sight& s) { return Begins(s, "PK\x03\x04"); },
     .instead = "if a model lies in it, unpack it and name that file; what PyTorch or Keras saved "
                "is loaded there and exported as ONNX"},
    {.name = "a NumPy array",
     .suffixes = {".npy"},
     .sniff = [](const Sight& s) { return Begins(s, "\x93NUMPY"); },
     .instead = "an array alone is no model; it can be an input (--input NAME=FILE)"},
    {.name = "a Python pickle",
     .suffixes = {".pkl", ".pickle"},
     .sniff = LooksLikePickle,
     .instead = "reading one runs code that it holds: load it where you trust it, and export the "
                "model as ONNX"},
    {.name = "a gzip file",
     .suffixes = {".gz", ".tgz"},
     .sniff = [](const Sight& s) { return Begins(s, "\x1F\x8B\x08"); },
     .instead = "unpack it (gunzip, tar -xzf) and name the model in it"},
};

}  // namespace

absl::Span<const Format> Formats() { return kFormats; }

}  // namespace sluice
