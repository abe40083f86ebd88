package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The inside's end of the channel, the first after standard error.
const channelDescriptor = 3

// runInside answers until the program has ended, whose exit code becomes ours, or the outside is gone.
func runInside(program []string) error {
	unix.CloseOnExec(channelDescriptor)
	if err := raiseLoopback(); err != nil {
		return fmt.Errorf("loopback does not come up: %w", err)
	}
	outside, err := channel(os.NewFile(channelDescriptor, "channel"))
	if err != nil {
		return err
	}
	question := make([]byte, 1024)
	for {
		size, err := outside.Read(question)
		if err != nil {
			return err
		}
		if err := answer(outside, string(question[:size]), program); err != nil {
			return err
		}
	}
}

func answer(outside *net.UnixConn, question string, program []string) error {
	verb, where, _ := strings.Cut(question, " ")
	text, rights := " ", []byte(nil) // an empty packet would look like the end
	var socket *os.File
	var err error
	switch verb {
	case askListen:
		socket, err = listenInside(where)
	case askDial:
		socket, err = dialInside(where)
	default:
		err = start(program)
	}
	if err != nil {
		text = err.Error()
	}
	if socket != nil {
		defer socket.Close()
		rights = unix.UnixRights(int(socket.Fd()))
	}
	_, _, err = outside.WriteMsgUnix([]byte(text), rights, nil)
	return err
}

func listenInside(where string) (*os.File, error) {
	listener, err := net.Listen("tcp", where)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	return listener.(*net.TCPListener).File()
}

func dialInside(where string) (*os.File, error) {
	connection, err := net.Dial("tcp", where)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return connection.(*net.TCPConn).File()
}

func start(program []string) error {
	command := exec.Command(program[0], program[1:]...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return err
	}
	go handOn(command.Process)
	go func() {
		command.Wait()
		if code := command.ProcessState.ExitCode(); code >= 0 {
			os.Exit(code)
		}
		log.Fatal(command.ProcessState)
	}()
	return nil
}

// raiseLoopback brings up the interface that a new network namespace has, and has down.
func raiseLoopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}
