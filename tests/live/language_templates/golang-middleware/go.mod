module handler

go 1.24

require function v0.0.0

replace function => ./function
