// Command reference says what distribution/reference, and through it the kubelet
// and containerd, makes of an image.
//
// It reads one JSON string a line and writes one JSON object a line: input, valid,
// error, domain, path, tag, digest. With -generate it makes the inputs itself.
package main

import (
	"bufio"
	_ "crypto/sha256" // go-digest knows an algorithm only when it is linked,
	_ "crypto/sha512" // and the kubelet links both
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/distribution/reference"
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
	generate := flag.Bool("generate", false, "make the inputs instead of reading them")
	seed := flag.Uint64("seed", 1, "with -generate: same seed, same inputs")
	count := flag.Int("n", 4000, "with -generate: how many inputs, all different")
	flag.Parse()

	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	write := func(input string) error { return encoder.Encode(judge(input)) }

	var err error
	if *generate {
		err = inputs(*seed, *count, write)
	} else {
		err = lines(os.Stdin, write)
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle-reference:", err)
		os.Exit(1)
	}
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

func lines(from io.Reader, each func(string) error) error {
	decoder := json.NewDecoder(from)
	for {
		var input string
		if err := decoder.Decode(&input); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(input); err != nil {
			return err
		}
	}
}
