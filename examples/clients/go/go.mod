module mttc.example/predict

go 1.23

require (
	github.com/yalue/onnxruntime_go v1.27.0
	mttc.example/reader v0.0.0
)

replace mttc.example/reader => ../c/reader
