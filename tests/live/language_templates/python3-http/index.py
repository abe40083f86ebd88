import sys
from importlib import import_module

handler = import_module("function.handler")
sys.stdout.buffer.write(handler.handle(b"started\n"))
