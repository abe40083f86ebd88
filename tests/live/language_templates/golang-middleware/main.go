package main

import "function"

func main() {
	println(function.Handle("a"))
}
