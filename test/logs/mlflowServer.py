"""MLflow's own server application on a free port, which is printed: what `mlflow server` serves, without the
packages of its other parts (pandas, aiohttp). Its database and artifacts lie in the folder of the argument."""
import os
import sys

folder = os.path.abspath(sys.argv[1])
os.environ.update(
    {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": os.path.join(folder, "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
)
from mlflow.server import app  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

server = make_server("127.0.0.1", 0, app, threaded=True)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
