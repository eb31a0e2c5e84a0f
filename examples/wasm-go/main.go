// Greets and hashes: the event {"name": "Neo"} on standard input, the result on standard output.
//
// What is written to standard error becomes log lines; an exit status other than 0 makes the run fail.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

type event struct {
	Name string `json:"name"`
}

type result struct {
	Greeting string `json:"greeting"`
	Sha256   string `json:"sha256"`
	At       string `json:"at"`
}

func main() {
	var in event
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fmt.Fprintln(os.Stderr, "the event is not {\"name\": ...}:", err)
		os.Exit(1)
	}
	if in.Name == "" {
		in.Name = "World"
	}
	fmt.Fprintln(os.Stderr, "greeting", in.Name)
	digest := sha256.Sum256([]byte(in.Name))
	out := result{
		Greeting: "Hello, " + in.Name,
		Sha256:   hex.EncodeToString(digest[:]),
		// The clock of a run stands still at its recorded start.
		At: time.Now().UTC().Format(time.RFC3339Nano),
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
