package main

import (
	"math"
	"os"

	ort "github.com/yalue/onnxruntime_go"

	"mttc.example/reader"
)

// slack is how far probabilities, and their sum, may be off by what float16 rounds.
const slack = 0.01

// Model is an opened model file.
type Model struct {
	Metadata *Metadata
	session  *ort.DynamicAdvancedSession
}

// startRuntime loads ONNX Runtime: the library that ORT_DYLIB_PATH names, else the system's.
func startRuntime() error {
	// Telemetry would write into the home folder; whoever wants it sets the variable to 0.
	if _, isSet := os.LookupEnv("ORT_DISABLE_TELEMETRY"); !isSet {
		os.Setenv("ORT_DISABLE_TELEMETRY", "1")
	}
	library := os.Getenv("ORT_DYLIB_PATH")
	if library == "" {
		library = "libonnxruntime.so.1"
	}
	ort.SetSharedLibraryPath(library)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		text := err.Error() + "; ORT_DYLIB_PATH names ONNX Runtime's library"
		return &reader.Fault{Code: "E_ORT_LOAD", Text: text}
	}
	return ort.DisableTelemetry()
}

// OpenModel opens a file that `mttc export` wrote. The error is a *reader.Fault: E_FILE, E_MODEL_PARSE,
// E_MODEL_META (not an export, or not what its metadata says), E_IMG_FORMAT.
func OpenModel(path string) (*Model, error) {
	found, err := os.Stat(path)
	if err != nil {
		return nil, &reader.Fault{Code: "E_FILE", Text: err.Error()}
	}
	if !found.Mode().IsRegular() {
		return nil, &reader.Fault{Code: "E_PATH_TYPE", Text: "expected an ONNX file, found none"}
	}
	inputs, outputs, err := ort.GetInputOutputInfo(path)
	if err != nil {
		return nil, &reader.Fault{Code: "E_MODEL_PARSE", Text: err.Error()}
	}
	// Names are given when it runs: which ones, the metadata says.
	session, err := ort.NewDynamicAdvancedSession(path, nil, nil, nil)
	if err != nil {
		return nil, &reader.Fault{Code: "E_MODEL_PARSE", Text: err.Error()}
	}
	model := &Model{session: session}
	if model.Metadata, err = metadataOf(session); err == nil {
		err = model.Metadata.compare(inputs, outputs)
	}
	if err != nil {
		session.Destroy()
		return nil, err
	}
	return model, nil
}

// Close gives back what the model holds.
func (model *Model) Close() { model.session.Destroy() }

func metadataOf(session *ort.DynamicAdvancedSession) (*Metadata, error) {
	props, err := session.GetModelMetadata()
	if err != nil {
		return nil, refuse("%v", err)
	}
	defer props.Destroy()
	text, isThere, err := props.LookupCustomMetadataMap(metadataKey)
	if err != nil || !isThere {
		return nil, refuse("the file has no metadata %q: it is no whole model that mttc export wrote", metadataKey)
	}
	return readMetadata(text)
}

// compare says where the metadata is not what the file takes and gives.
func (metadata *Metadata) compare(inputs, outputs []ort.InputOutputInfo) error {
	if len(inputs) != 1 || inputs[0].Name != "image" {
		return refuse("expected one input \"image\", the file has %d inputs", len(inputs))
	}
	rules := metadata.Rules
	sizes := []int64{1, int64(rules.Height), int64(rules.Width), int64(rules.Channels)}
	if !rules.Resize {
		sizes[1], sizes[2] = -1, -1
	}
	if !isTensor(inputs[0], ort.TensorElementDataTypeUint8, sizes) {
		return refuse("input \"image\" is not what the metadata says: uint8 %v", sizes)
	}
	named := make(map[string]ort.InputOutputInfo)
	for _, output := range outputs {
		named[output.Name] = output
	}
	for _, task := range metadata.Tasks {
		output, isThere := named[task.Output]
		if !isThere {
			return refuse("there is no output %q of task %q", task.Output, task.Name)
		}
		if !isTensor(output, ort.TensorElementDataTypeFloat, []int64{1, int64(task.Count)}) {
			return refuse("output %q is not what the metadata says: float32 [1,%d]", task.Output, task.Count)
		}
	}
	return nil
}

// isTensor: a size below 0 fits any, on either side.
func isTensor(info ort.InputOutputInfo, element ort.TensorElementDataType, sizes []int64) bool {
	isOfElements := info.OrtValueType == ort.ONNXTypeTensor && info.DataType == element
	if !isOfElements || len(info.Dimensions) != len(sizes) {
		return false
	}
	for i, size := range info.Dimensions {
		if size >= 0 && sizes[i] >= 0 && size != sizes[i] {
			return false
		}
	}
	return true
}

// Run gives the numbers of each task for an image that was read by the model's rules. The error is a
// *reader.Fault: E_ORT; E_MODEL_META where they are not what the metadata promises.
func (model *Model) Run(image *reader.Image) ([][]float32, error) {
	binding, err := model.session.CreateIoBinding()
	if err != nil {
		return nil, &reader.Fault{Code: "E_ORT", Text: err.Error()}
	}
	defer binding.Destroy()
	shape := ort.NewShape(1, int64(image.Height), int64(image.Width), int64(image.Channels))
	input, err := ort.NewTensor(shape, image.Pixels)
	if err == nil {
		defer input.Destroy()
		err = binding.BindInput("image", input)
	}
	outputs := make([]*ort.Tensor[float32], len(model.Metadata.Tasks))
	for t, task := range model.Metadata.Tasks {
		if err != nil {
			break
		}
		if outputs[t], err = ort.NewEmptyTensor[float32](ort.NewShape(1, int64(task.Count))); err == nil {
			defer outputs[t].Destroy()
			err = binding.BindOutput(task.Output, outputs[t])
		}
	}
	if err == nil {
		err = model.session.RunWithBinding(binding)
	}
	if err != nil {
		return nil, &reader.Fault{Code: "E_ORT", Text: err.Error()}
	}
	numbers := make([][]float32, len(outputs))
	for t, task := range model.Metadata.Tasks {
		numbers[t] = append([]float32(nil), outputs[t].GetData()...)
		if err := task.check(numbers[t]); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

// check says what must hold of the numbers of a task, and does not.
func (task Task) check(numbers []float32) error {
	sum := 0.0
	for _, each := range numbers {
		number := float64(each)
		sum += number
		isShare := number >= -slack && number <= 1+slack
		if math.IsNaN(number) || math.IsInf(number, 0) || (task.Kind != kindNumber && !isShare) {
			return refuse("the model gives %g for task %q", number, task.Name)
		}
	}
	if task.Kind == kindClasses && math.Abs(sum-1) > slack {
		return refuse("the model gives probabilities that sum to %g for task %q", sum, task.Name)
	}
	return nil
}
