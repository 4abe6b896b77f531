// Answers of a file that `mttc export` wrote, for images:
//
//	go run . [--pixels DIR] MODEL IMAGE...
//
// A line of JSON an image. What the model is, and how images must be read, stands in the file.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"unicode"

	"mttc.example/reader"
)

// threshold is what a tag is answered from, where the file does not say it.
const threshold = 0.5

// answer is what is printed of a task.
type answer struct {
	Task string `json:"task"`
	Kind string `json:"kind"`
	// Answer is the class, the tags, or the numbers.
	Answer  any       `json:"answer"`
	Unsure  bool      `json:"unsure,omitempty"`
	Within  []float64 `json:"within,omitempty"`
	Numbers []float32 `json:"numbers"`
}

// line is what is printed of an image.
type line struct {
	Image string   `json:"image"`
	Tasks []answer `json:"tasks"`
}

func (task Task) answer(numbers []float32) answer {
	made := answer{Task: task.Name, Kind: task.Kind, Numbers: numbers, Within: task.Radius}
	switch task.Kind {
	case kindClasses:
		best := 0
		for i, number := range numbers {
			if number > numbers[best] {
				best = i
			}
		}
		made.Answer, made.Unsure = task.Names[best], float64(numbers[best]) < task.UnsureBelow
	case kindTags:
		made.Answer = task.tags(numbers)
	default:
		made.Answer = numbers
	}
	return made
}

// tags are those at or over their thresholds, the most probable first, the first of equals first.
func (task Task) tags(numbers []float32) []string {
	order := make([]int, 0, len(numbers))
	for i, number := range numbers {
		least := threshold
		if task.Thresholds != nil {
			least = task.Thresholds[i]
		}
		if float64(number) >= least {
			order = append(order, i)
		}
	}
	sort.SliceStable(order, func(a, b int) bool { return numbers[order[a]] > numbers[order[b]] })
	tags := make([]string, len(order))
	for place, i := range order {
		tags[place] = task.Names[i]
	}
	return tags
}

// complain writes a line of stderr. Names come from strangers' files: nothing may steer the terminal.
func complain(err error, path string) {
	code, text := "E_ORT", err.Error()
	var fault *reader.Fault
	if errors.As(err, &fault) {
		code, text = fault.Code, fault.Text
	}
	plain := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if path != "" {
		path += ": "
	}
	fmt.Fprintf(os.Stderr, "error %s: %s%.512s\n", code, path, plain)
}

// answerImage prints the answers for an image that was read; the error is of the model, or of the output.
func answerImage(model *Model, path string, image *reader.Image, pixels string) error {
	if pixels != "" {
		if err := os.WriteFile(pixels, image.Pixels, 0o666); err != nil {
			return &reader.Fault{Code: "E_FILE", Text: err.Error()}
		}
	}
	numbers, err := model.Run(image)
	if err != nil {
		return err
	}
	said := line{Image: path}
	for t, task := range model.Metadata.Tasks {
		said.Tasks = append(said.Tasks, task.answer(numbers[t]))
	}
	output := json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	if err := output.Encode(said); err != nil {
		return &reader.Fault{Code: "E_FILE", Text: "cannot write the answer: " + err.Error()}
	}
	return nil
}

func predict(words []string) int {
	pixels := ""
	if len(words) > 1 && words[0] == "--pixels" {
		pixels, words = words[1], words[2:]
	}
	if len(words) < 2 || strings.HasPrefix(words[0], "-") {
		complain(&reader.Fault{Code: "E_USAGE", Text: "predict [--pixels DIR] MODEL IMAGE..."}, "")
		return 2
	}
	if err := startRuntime(); err != nil {
		complain(err, words[0])
		return 2
	}
	model, err := OpenModel(words[0])
	if err != nil {
		complain(err, words[0])
		return 2
	}
	defer model.Close()
	status := 0
	for i, path := range words[1:] {
		image, err := reader.ReadFile(path, model.Metadata.Rules)
		if err != nil {
			complain(err, path)
			status = 2
			continue
		}
		raw := ""
		if pixels != "" {
			raw = filepath.Join(pixels, fmt.Sprintf("%d.raw", i))
		}
		if err := answerImage(model, path, image, raw); err != nil {
			complain(err, words[0])
			return 2
		}
	}
	return status
}

func main() { os.Exit(predict(os.Args[1:])) }
