// Package pemfile reads keys and certificates in PEM. It is the only reader of PEM in the service: every setting that
// names a key or a certificate goes through it.
//
// It accepts what people really have: a byte order mark, UTF-16, any line ending, indentation, `\n` written out as in an
// environment file, and text around the blocks (the "Bag Attributes" of openssl pkcs12, comments, the output of openssl
// s_client). It accounts for every BEGIN line: a block is returned, or the file is refused with an *Error that names the
// file, the number of the block and the reason. So a damaged block never disappears, which encoding/pem would allow.
//
// Errors never quote the file, because it may hold a key.
package pemfile
