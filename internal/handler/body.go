package handler

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"time"
)

const (
	// formTimeout is how long a client may take to send a form.
	formTimeout = 5 * time.Second

	// lingerTimeout is how long a connection stays open after the response to a request whose body was not read. A
	// connection that is closed while the client still sends is reset, and the client may lose the response.
	lingerTimeout = 500 * time.Millisecond
)

// ignoreBody answers requests without waiting for their bodies. By default net/http reads up to 256 KiB of an unread body
// before it sends the response, so a client that announces a body and sends none would get no response. net/http does not
// do so on a connection that it is about to close. withForm keeps the connection of a request whose body it has read.
func ignoreBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		next.ServeHTTP(w, r)
		if w.Header().Get("Connection") == "close" {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lingerTimeout))
		}
	})
}

// withForm reads the form that f needs into r.PostForm, at most maxForm bytes within formTimeout. It fails with
// errTooLarge, errRequestTimeout or errBadRequest.
func withForm(f handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.ContentLength > maxForm {
			return errTooLarge
		}
		conn := http.NewResponseController(w)
		_ = conn.SetReadDeadline(time.Now().Add(formTimeout))
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
		if err != nil {
			return formError(err)
		}
		_ = conn.SetReadDeadline(time.Time{}) // or the deadline would cancel the request's context
		w.Header().Del("Connection")
		if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/x-www-form-urlencoded" {
			return errBadRequest
		}
		if r.PostForm, err = url.ParseQuery(string(body)); err != nil {
			return errBadRequest
		}
		return f(w, r)
	}
}

// formError returns the kind of an error of reading a body.
func formError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errRequestTimeout
	}
	return errors.Join(errBadRequest, err)
}
