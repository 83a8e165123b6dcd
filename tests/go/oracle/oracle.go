// Package oracle is what the oracles have in common: each reads one case a line, or
// makes cases that are all different, and writes each with the answer of the Go code.
//
// It must not know what a case is about.
package oracle

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
)

// An Oracle answers cases of type C with values of type A. Both are written as JSON.
type Oracle[C, A any] struct {
	// Name stands before errors.
	Name string
	// Count is how many cases -generate makes, unless -n says otherwise.
	Count int
	// Stream is the second seed of the random numbers. Another one changes the golden files.
	Stream uint64
	// Fixed returns the cases that -generate makes first.
	Fixed func() []C
	// Random returns a case; -generate leaves out those that it has made before.
	Random func(*rand.Rand) C
	// Answer asks the Go code.
	Answer func(C) A
}

// Main runs the program.
func (o Oracle[C, A]) Main() {
	generate := flag.Bool("generate", false, "make the cases instead of reading them")
	seed := flag.Uint64("seed", 1, "with -generate: same seed, same cases")
	count := flag.Int("n", o.Count, "with -generate: how many cases, all different")
	flag.Parse()

	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	write := func(one C) error { return encoder.Encode(o.Answer(one)) }

	var err error
	if *generate {
		err = o.generate(*seed, *count, write)
	} else {
		err = read(os.Stdin, write)
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "oracle-%s: %v\n", o.Name, err)
		os.Exit(1)
	}
}

func (o Oracle[C, A]) generate(seed uint64, count int, write func(C) error) error {
	random := rand.New(rand.NewPCG(seed, o.Stream))
	seen := make(map[string]bool, count)
	once := func(one C) error {
		id, err := json.Marshal(one)
		if err != nil {
			return err
		}
		if len(seen) == count || seen[string(id)] {
			return nil
		}
		seen[string(id)] = true
		return write(one)
	}
	for _, one := range o.Fixed() {
		if err := once(one); err != nil {
			return err
		}
	}
	for len(seen) < count {
		if err := once(o.Random(random)); err != nil {
			return err
		}
	}
	return nil
}

func read[C any](in io.Reader, write func(C) error) error {
	decoder := json.NewDecoder(in)
	for {
		var one C
		if err := decoder.Decode(&one); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := write(one); err != nil {
			return err
		}
	}
}
