#!/bin/sh
# Builds where nothing is built yet, then predicts: run.sh [--pixels DIR] MODEL IMAGE...
here=$(dirname "$0")
[ -f "$here/target/mttc.jar" ] || mvn -q -B -f "$here/pom.xml" package || exit 1
# Java names files by the locale. ONNX Runtime's telemetry can be kept from writing at its start by this alone.
LC_ALL=C.UTF-8 ORT_DISABLE_TELEMETRY=1 exec java -jar "$here/target/mttc.jar" "$@"
