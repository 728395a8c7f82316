module falconkit.example/gokit

go 1.21

require (
	github.com/go-kit/kit v0.13.0
	github.com/go-kit/log v0.2.1
	golang.org/x/time v0.5.0
)

require (
	github.com/VividCortex/gohistogram v1.0.0 // indirect
	github.com/go-logfmt/logfmt v0.5.1 // indirect
)
