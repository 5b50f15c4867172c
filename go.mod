module gnatsd

go 1.26.0
