package main

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// What is asked of the inside, one packet each: "listen ADDRESS" and "dial ADDRESS" are answered with a socket,
// "start" with none. Any text in an answer is an error.
const (
	askListen = "listen"
	askDial   = "dial"
	askStart  = "start"
)

func socketPair() (*net.UnixConn, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, err := channel(os.NewFile(uintptr(pair[0]), "ours"))
	return ours, os.NewFile(uintptr(pair[1]), "theirs"), err
}

func channel(file *os.File) (*net.UnixConn, error) {
	defer file.Close()
	made, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return made.(*net.UnixConn), nil
}

// maker asks the process inside for sockets, which belong for good to the network they were made in.
type maker struct {
	channel *net.UnixConn
	turn    sync.Mutex
}

func (m *maker) listen(port int) (net.Listener, error) {
	socket, err := m.ask(askListen + " " + address(port))
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	return net.FileListener(socket)
}

func (m *maker) dial(port int) (net.Conn, error) {
	socket, err := m.ask(askDial + " " + address(port))
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	return net.FileConn(socket)
}

func (m *maker) start() error {
	_, err := m.ask(askStart)
	return err
}

func (m *maker) ask(question string) (*os.File, error) {
	m.turn.Lock()
	defer m.turn.Unlock()
	if _, err := m.channel.Write([]byte(question)); err != nil {
		return nil, err
	}
	text, rights := make([]byte, 1024), make([]byte, unix.CmsgSpace(4))
	size, rightsSize, _, _, err := m.channel.ReadMsgUnix(text, rights)
	if err != nil {
		return nil, err
	}
	if answer := strings.TrimSpace(string(text[:size])); answer != "" {
		return nil, errors.New(answer)
	}
	if rightsSize == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rightsSize])
	if err != nil {
		return nil, err
	}
	descriptors, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(descriptors[0])
	return os.NewFile(uintptr(descriptors[0]), question), nil
}
