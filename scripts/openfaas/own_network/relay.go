package main

import (
	"io"
	"log"
	"net"
)

// accept passes every connection on.
func accept(listener net.Listener, onward func() (net.Conn, error)) {
	for {
		arrived, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer arrived.Close()
			// Nobody there: the caller sees its connection closed and may come again.
			if left, err := onward(); err == nil {
				defer left.Close()
				relay(arrived.(*net.TCPConn), left.(*net.TCPConn))
			}
		}()
	}
}

// relay ends when both sides have said all they had to say, or one has gone away.
func relay(one, other *net.TCPConn) {
	done := make(chan error, 2)
	pass := func(to, from *net.TCPConn) {
		_, err := io.Copy(to, from)
		if err == nil {
			err = to.CloseWrite() // the end of what it said, as it would see it without us
		}
		done <- err
	}
	go pass(one, other)
	go pass(other, one)
	if err := <-done; err == nil {
		<-done
	}
}
