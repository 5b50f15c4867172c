module gnatsd

go 1.26.0

require github.com/nats-io/nuid v1.0.1 // indirect
