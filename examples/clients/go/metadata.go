package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"

	"mttc.example/reader"
)

// What a file that `mttc export` wrote says of itself. A model may come from anybody, so that nothing of it
// is believed before it is checked here.

const (
	// metadataKey is the key of the model's metadata_props.
	metadataKey   = "mttc"
	newestVersion = 3
	newestReading = 1
	maxSide       = 65536
	maxChannels   = 16
	// maxNumbers is how many numbers an image may have.
	maxNumbers = 1 << 28
	maxTasks   = 1000
	maxClasses = 1_000_000
	maxTags    = 10_000
	maxValues  = 1000
)

// Kinds of tasks.
const (
	kindClasses = "classes"
	kindTags    = "tags"
	kindNumber  = "number"
)

// Task is one question that a model answers.
type Task struct {
	Name string
	// Output is the name of the output, float32 [1, Count].
	Output string
	Kind   string
	Count  int
	// Names of its classes or tags; nil for numbers.
	Names []string
	// Thresholds from which on each tag is answered; nil: a half.
	Thresholds []float64
	// Radius of the interval round each number that holds the truth nine times of ten; nil: none was fitted.
	Radius []float64
	// UnsureBelow is the probability below which a class is better left open; 0 where the model always answers.
	UnsureBelow float64
}

// Metadata is what a model says of itself.
type Metadata struct {
	Tasks []Task
	// Rules by which its images, uint8 [1, height, width, channels], are read.
	Rules reader.Rules
}

func refuse(format string, values ...any) *reader.Fault {
	return &reader.Fault{Code: "E_MODEL_META", Text: fmt.Sprintf(format, values...)}
}

// value is a value of the tree, and where it lies. Its methods panic with a *reader.Fault, which readMetadata
// returns: the checks read as what they ask for.
type value struct {
	of    any
	where string
}

func (v value) member(key string) value {
	object, isObject := v.of.(map[string]any)
	if !isObject {
		panic(refuse("%s is no object", v.where))
	}
	where := key
	if v.where != "" {
		where = v.where + "." + key
	}
	return value{object[key], where}
}

func (v value) has(key string) bool {
	object, isObject := v.of.(map[string]any)
	_, isThere := object[key]
	return isObject && isThere
}

func (v value) text() string {
	text, isText := v.of.(string)
	if !isText || text == "" {
		panic(refuse("%s is no text", v.where))
	}
	return text
}

func (v value) oneOf(wanted ...string) string {
	for _, each := range wanted {
		if v.of == any(each) {
			return each
		}
	}
	panic(refuse("%s is not one of %q", v.where, wanted))
}

func (v value) flag() bool {
	flag, isFlag := v.of.(bool)
	if !isFlag {
		panic(refuse("%s is neither true nor false", v.where))
	}
	return flag
}

func (v value) number(least, most float64) float64 {
	number, isNumber := v.of.(float64)
	if !isNumber || !(number >= least && number <= most) {
		panic(refuse("%s is no number from %g to %g", v.where, least, most))
	}
	return number
}

func (v value) whole(least, most float64) uint32 {
	number := v.number(least, most)
	if math.Floor(number) != number {
		panic(refuse("%s is no whole number", v.where))
	}
	return uint32(number)
}

func (v value) list(least, most int) []value {
	list, isList := v.of.([]any)
	if !isList || len(list) < least || len(list) > most {
		panic(refuse("%s is no list of %d to %d entries", v.where, least, most))
	}
	entries := make([]value, len(list))
	for i, entry := range list {
		entries[i] = value{entry, fmt.Sprintf("%s[%d]", v.where, i)}
	}
	return entries
}

// names are texts, each there once.
func (v value) names(most int) []string {
	names := make([]string, 0)
	seen := make(map[string]bool)
	for _, entry := range v.list(1, most) {
		name := entry.text()
		if seen[name] {
			panic(refuse("%s: %q is there twice", v.where, name))
		}
		seen[name] = true
		names = append(names, name)
	}
	return names
}

func (v value) numbers(count int, most float64) []float64 {
	numbers := make([]float64, count)
	for i, entry := range v.list(count, count) {
		numbers[i] = entry.number(0, most)
	}
	return numbers
}

func readTask(entry value) Task {
	task := Task{Name: entry.member("name").text(), Output: entry.member("output").text(), Kind: kindClasses}
	if entry.has("kind") {
		task.Kind = entry.member("kind").oneOf(kindClasses, kindTags, kindNumber)
	}
	switch task.Kind {
	case kindClasses:
		task.Names = entry.member("classes").names(maxClasses)
		task.Count = len(task.Names)
		if entry.has("unsure") {
			task.UnsureBelow = entry.member("unsure").member("below").number(0, 1)
		}
	case kindTags:
		task.Names = entry.member("tags").names(maxTags)
		task.Count = len(task.Names)
		if entry.has("thresholds") {
			task.Thresholds = entry.member("thresholds").numbers(task.Count, 1)
		}
	case kindNumber:
		task.Count = len(entry.member("mean").list(1, maxValues))
		if entry.has("interval") {
			task.Radius = entry.member("interval").member("radius").numbers(task.Count, math.MaxFloat64)
		}
	}
	return task
}

func readTasks(list value) []Task {
	tasks := make([]Task, 0)
	names, outputs := make(map[string]bool), make(map[string]bool)
	for _, entry := range list.list(1, maxTasks) {
		task := readTask(entry)
		if names[task.Name] || outputs[task.Output] {
			panic(refuse("two tasks are called %q or have the output %q", task.Name, task.Output))
		}
		names[task.Name], outputs[task.Output] = true, true
		tasks = append(tasks, task)
	}
	return tasks
}

func readRules(entry value) reader.Rules {
	rules := reader.Rules{
		Width:    entry.member("width").whole(1, maxSide),
		Height:   entry.member("height").whole(1, maxSide),
		Resize:   !entry.has("resize"),
		Channels: entry.member("channels").whole(1, maxChannels),
		Grey:     entry.member("greyscale").flag(),
	}
	if uint64(rules.Width)*uint64(rules.Height)*uint64(rules.Channels) > maxNumbers {
		panic(refuse("images of %dx%dx%d are beyond any memory", rules.Height, rules.Width, rules.Channels))
	}
	entry.member("layout").oneOf("NHWC")
	if !rules.Resize {
		entry.member("resize").oneOf("graph")
	}
	if dtype := entry.member("dtype").oneOf("uint8", "uint16", "float32"); dtype != "uint8" {
		panic(&reader.Fault{Code: "E_IMG_FORMAT", Text: "a model of " + dtype + " images is not run here"})
	}
	if rules.Channels != 1 && rules.Channels != 3 {
		text := fmt.Sprintf("a model of %d channels is not run here, only of 1 or 3", rules.Channels)
		panic(&reader.Fault{Code: "E_IMG_FORMAT", Text: text})
	}
	return rules
}

// readReading gives what CMYK without a profile becomes (reader.Rules); nil where the file does not say it.
func readReading(entry value) []byte {
	entry.member("version").whole(1, newestReading)
	if !entry.has("cmyk") {
		return nil
	}
	grid, err := base64.StdEncoding.DecodeString(entry.member("cmyk").text())
	if err != nil || len(grid) != reader.CMYKBytes {
		panic(refuse("reading.cmyk is no grid of colours in base64"))
	}
	return grid
}

// readMetadata checks the JSON text. The error is a *reader.Fault: E_MODEL_META where it is not what a whole
// model says, E_IMG_FORMAT for pixels that this client does not read (16 bits, other than 1 or 3 channels).
func readMetadata(text string) (metadata *Metadata, err error) {
	defer func() {
		found := recover()
		fault, isFault := found.(*reader.Fault)
		if found != nil && !isFault {
			panic(found)
		}
		if isFault {
			metadata, err = nil, fault
		}
	}()
	var tree any
	if problem := json.Unmarshal([]byte(text), &tree); problem != nil {
		return nil, refuse("the metadata is not JSON: %v", problem)
	}
	root := value{tree, ""}
	root.member("format").oneOf("mttc-model")
	root.member("version").whole(1, newestVersion)
	root.member("kind").oneOf("model", "task")
	metadata = &Metadata{readTasks(root.member("tasks")), readRules(root.member("preprocessing"))}
	if root.has("reading") {
		metadata.Rules.CMYK = readReading(root.member("reading"))
	}
	return metadata, nil
}
