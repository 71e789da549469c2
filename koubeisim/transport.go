package koubeisim

import (
	"bytes"
	"net/http"
	"strconv"
)

// Ways of sending something else than an answer.

// cut ends the connection without a byte. ErrAbortHandler is net/http's own way, for HTTP/2 as well, and goes unlogged.
func cut(http.ResponseWriter, *http.Request, *draft) {
	panic(http.ErrAbortHandler)
}

func cutMidway(w http.ResponseWriter, _ *http.Request, d *draft) {
	body := d.body()
	d.head(w)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body[:len(body)/2])
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func halve(w http.ResponseWriter, _ *http.Request, d *draft) {
	body := d.body()
	d.head(w)
	w.Write(body[:len(body)/2])
}

// inflate pads a true answer with white space, which JSON allows, far beyond what anybody should read.
func inflate(w http.ResponseWriter, _ *http.Request, d *draft) {
	d.head(w)
	padding := bytes.Repeat([]byte(" "), 1<<20)
	for range 32 {
		if _, err := w.Write(padding); err != nil {
			return // the client has seen enough
		}
	}
	w.Write(d.body())
}

func page(status int, body string) func(http.ResponseWriter, *http.Request, *draft) {
	return func(w http.ResponseWriter, _ *http.Request, d *draft) {
		d.head(w)
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

// redirect keeps method and body, so that a client that follows is served, and found out.
func redirect(w http.ResponseWriter, r *http.Request, _ *draft) {
	w.Header().Set("Location", r.URL.RequestURI())
	w.WriteHeader(http.StatusTemporaryRedirect)
}
