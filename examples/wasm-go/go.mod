module example.org/neofn/wasm-go

go 1.24
