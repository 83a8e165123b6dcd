// Command manifest says what kubectl reads in a manifest.
//
// It reads one case a line and writes it again with the answer:
//
//	{"text": …} + "documents": [JSON, …], "objects": [[apiVersion, kind, namespace, name], …]
//	and, where the reading stopped, "error": …
//
// The documents are what the stream visitor of cli-runtime decodes, before it asks
// whether they are objects; documents that are empty or null are left out, as it does.
// The objects are what its resource builder then hands to `kubectl label --local`,
// lists flattened. An object that the builder refuses, for instance one without a
// kind, is left out and does not end the reading. With -generate the command makes
// the cases itself.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/cli-runtime/pkg/resource"
	"pullpass.dev/tests/go/oracle"
)

type manifestText struct {
	Text string `json:"text"`
}

type manifestCase struct {
	Text      string            `json:"text"`
	Documents []json.RawMessage `json:"documents"`
	Objects   [][4]string       `json:"objects"`
	Error     string            `json:"error,omitempty"`
}

func main() {
	oracle.Oracle[manifestText, manifestCase]{
		Name:  "manifest",
		Count: 2000,
		Fixed: func() []manifestText {
			var list []manifestText
			for _, text := range fixed() {
				list = append(list, manifestText{text})
			}
			return list
		},
		Random: func(random *rand.Rand) manifestText { return manifestText{generator{random}.text()} },
		Answer: func(one manifestText) manifestCase { return answer(one.Text) },
	}.Main()
}

// repeats is how often a text is decoded.
const repeats = 8

// answer reads a text more than once: where a map has two keys that become the same
// text, kubectl takes one or the other as Go ranges over its map. That is an error here.
func answer(text string) manifestCase {
	one := once(text)
	for range repeats - 1 {
		if again := once(text); fmt.Sprint(again.Documents) != fmt.Sprint(one.Documents) {
			one.Documents, one.Objects = one.Documents[:0], one.Objects[:0]
			one.Error = "the answer varies"
			break
		}
	}
	return one
}

func once(text string) manifestCase {
	one := manifestCase{Text: text, Objects: objects(text)}
	documents, err := documents(text)
	one.Documents = documents
	if err != nil {
		one.Error = err.Error()
	}
	return one
}

// documents decodes the stream as `StreamVisitor.Visit` does.
func documents(text string) ([]json.RawMessage, error) {
	found := []json.RawMessage{}
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		extension := runtime.RawExtension{}
		if err := decoder.Decode(&extension); err == io.EOF {
			return found, nil
		} else if err != nil {
			return found, err
		}
		raw := bytes.TrimSpace(extension.Raw)
		if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
			continue
		}
		// A copy in the order of its keys, so that golden files do not change.
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			return found, err
		}
		sorted, err := json.Marshal(value)
		if err != nil {
			return found, err
		}
		found = append(found, sorted)
	}
}

func objects(text string) [][4]string {
	found := [][4]string{}
	// The errors are those of the documents, and of objects that are none.
	_ = resource.NewLocalBuilder().
		Unstructured().
		Stream(strings.NewReader(text), "text").
		ContinueOnError().
		Flatten().
		Do().
		Visit(func(info *resource.Info, err error) error {
			if err != nil {
				return nil
			}
			if object, ok := info.Object.(*unstructured.Unstructured); ok {
				found = append(found, [4]string{
					object.GetAPIVersion(), object.GetKind(), object.GetNamespace(), object.GetName(),
				})
			}
			return nil
		})
	return found
}
