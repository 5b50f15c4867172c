package server_test

import (
	"fmt"
	"log"
	"time"

	"github.com/nats-io/nats.go"

	"gnatsd/server"
)

// A broker inside a program: on a free port of this machine, for as long as the program likes.
func Example() {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RandomPort})
	if err != nil {
		log.Fatal(err)
	}
	go s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		log.Fatal("the broker did not start")
	}

	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("greet.*")
	if err != nil {
		log.Fatal(err)
	}
	if err := nc.Publish("greet.joe", []byte("hello")); err != nil {
		log.Fatal(err)
	}
	msg, err := sub.NextMsg(time.Second)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(msg.Subject, string(msg.Data), s.NumClients(), s.NumSubscriptions())
	// Output: greet.joe hello 1 1
}
