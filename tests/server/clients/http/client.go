// Go's own client. programs.py says what comes in and out.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

type answer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Size    int               `json:"size"`
	Hash    string            `json:"hash"`
	Text    string            `json:"text"`
}

// Hides the length, so that the body is sent in chunks.
type unknown struct{ io.Reader }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	must(err)
	return value
}

func ask(client *http.Client, url string, line string) answer {
	step := strings.Split(line, "\t")
	data := make([]byte, number(step[2]))
	for index := range data {
		data[index] = byte(index)
	}
	var body io.Reader
	if len(data) > 0 {
		body = bytes.NewReader(data)
	}
	if step[3] == "1" {
		body = unknown{body}
	}
	request, err := http.NewRequest(step[0], url+step[1], body)
	must(err)
	if step[4] == "1" {
		request.Header.Set("Expect", "100-continue")
	}
	response, err := client.Do(request)
	must(err)
	defer response.Body.Close()
	var read io.Reader = response.Body
	if leave := number(step[5]); leave > 0 {
		read = io.LimitReader(read, int64(leave))
	}
	received, err := io.ReadAll(read)
	must(err)
	headers := map[string]string{}
	for name, values := range response.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	for _, coding := range response.TransferEncoding {
		headers["transfer-encoding"] = coding
	}
	hash := sha256.Sum256(received)
	text := ""
	if len(received) <= 1000 {
		text = string(received)
	}
	return answer{response.StatusCode, headers, len(received), hex.EncodeToString(hash[:]), text}
}

func main() {
	input, err := io.ReadAll(os.Stdin)
	must(err)
	lines := strings.Split(strings.TrimRight(string(input), "\n"), "\n")
	// A request that has waited for so long has missed its 100 Continue.
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Hour}}
	answers := []answer{}
	for _, line := range lines[1:] {
		answers = append(answers, ask(client, lines[0], line))
	}
	must(json.NewEncoder(os.Stdout).Encode(answers))
}
