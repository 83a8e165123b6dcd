// Command reference says what distribution/reference, and through it the kubelet
// and containerd, makes of an image.
//
// It reads one JSON string a line and writes one JSON object a line: input, valid,
// error, domain, path, tag, digest. With -generate it makes the inputs itself.
package main

import (
	_ "crypto/sha256" // go-digest knows an algorithm only when it is linked,
	_ "crypto/sha512" // and the kubelet links both

	"github.com/distribution/reference"
	"pullpass.dev/tests/go/oracle"
)

type result struct {
	Input  string `json:"input"`
	Valid  bool   `json:"valid"`
	Error  string `json:"error,omitempty"`
	Domain string `json:"domain,omitempty"`
	Path   string `json:"path,omitempty"`
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"`
}

func main() {
	oracle.Oracle[string, result]{
		Name:   "reference",
		Count:  4000,
		Fixed:  corpus,
		Random: random,
		Answer: judge,
	}.Main()
}

func judge(input string) result {
	named, err := reference.ParseNormalizedNamed(input)
	if err != nil {
		return result{Input: input, Error: err.Error()}
	}
	found := result{
		Input:  input,
		Valid:  true,
		Domain: reference.Domain(named),
		Path:   reference.Path(named),
	}
	if tagged, ok := named.(reference.Tagged); ok {
		found.Tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		found.Digest = digested.Digest().String()
	}
	return found
}
