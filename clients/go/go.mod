module isv.example/shop

go 1.24.0

require koubei-landing/koubeiauth v0.0.0

require github.com/go-jose/go-jose/v4 v4.1.8 // indirect

replace koubei-landing/koubeiauth => ../../koubeiauth
