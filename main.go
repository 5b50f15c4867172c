// Command gnatsd is a message broker that speaks the NATS protocol.
package main

func main() {}
