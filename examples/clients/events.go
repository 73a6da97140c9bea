// Go, nothing to install: prints what comes; reconnects, and misses nothing.
//     go run events.go 'http://127.0.0.1:8081/events?topics=temp,news'
package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	event, data, last := "", []string{}, ""
	for ; ; time.Sleep(2 * time.Second) {
		ctx, cancel := context.WithCancel(context.Background())
		silence := time.AfterFunc(30*time.Second, cancel) // keep-alives come every 5 s
		request, _ := http.NewRequestWithContext(ctx, "GET", os.Args[1], nil)
		if last != "" {
			request.Header.Set("Last-Event-ID", last)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		for lines := bufio.NewScanner(response.Body); lines.Scan(); silence.Reset(30 * time.Second) {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch field {
			case "event":
				event = value
			case "data":
				data = append(data, value)
			case "id":
				last = value
			case "":
				if len(data) > 0 && event != "rtpush" {
					fmt.Println(event, strings.Join(data, "\n"))
				}
				event, data = "", nil
			}
		}
		response.Body.Close()
	}
}
