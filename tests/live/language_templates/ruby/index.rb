require_relative "function/handler"

puts Handler.new.run($stdin.read)
