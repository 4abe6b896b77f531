module mttc.example/reader

go 1.23
