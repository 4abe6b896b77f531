#!/bin/sh
# Builds where nothing is built yet, then predicts or trains:
#   run.sh [--pixels DIR] MODEL IMAGE...
#   run.sh train BUNDLE TABLE OUT.safetensors [--epochs N]
here=$(dirname "$0")
[ -f "$here/target/mttc.jar" ] || mvn -q -B -f "$here/pom.xml" package || exit 1
# Java names files by the locale. ONNX Runtime's telemetry can be kept from writing at its start by this alone.
export LC_ALL=C.UTF-8 ORT_DISABLE_TELEMETRY=1
program=mttc.Predict
[ "$1" = train ] && shift && program=mttc.train.Train
exec java -cp "$here/target/mttc.jar" "$program" "$@"
