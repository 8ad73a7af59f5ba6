"""A training worker in one file: numpy and the standard library.

Leases batches from the trainer, reads their arrays in place, makes an update, acknowledges it with
metrics and a new version of the weights. A PyTorch user replaces `train`: the arrays go to the GPU
with `torch.from_numpy`. Layouts: sinks/trainer/packed.ts and acknowledgement.ts.

    python worker.py http://127.0.0.1:4747 --batches 10
"""

import argparse
import json
import struct
import urllib.error
import urllib.request

import numpy


def post(url, body, content_type="application/json"):
    """Status and body of an answer; an error shows what the trainer said."""
    accept = "application/vnd.lightning.batch, application/json"
    headers = {"content-type": content_type, "accept": accept}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url}: {error.code} {error.read().decode()}")


def lease(base, **wish):
    """The header and the arrays of a batch, or None when there was none in time."""
    status, body = post(f"{base}/v1/batches/lease", json.dumps(wish).encode())
    if status == 204:
        return None
    (length,) = struct.unpack_from("<I", body, 4)
    header = json.loads(body[8 : 8 + length])
    arrays = {
        name: numpy.frombuffer(body, a["dtype"], a["length"], a["offset"])
        for name, a in header["arrays"].items()
    }
    return header, arrays


def acknowledge(base, lease_id, metrics, weights, name):
    """Hands in metrics and the weights of that name in one request; repeating it changes nothing."""
    blob, about = weights.astype("<f4").tobytes(), {"dtype": "<f4", "shape": weights.shape}
    place = {"offset": 0, "length": len(blob)}
    resource = {"name": name, "kind": "weights", "json": about, "blob": place}
    header = json.dumps({"metrics": metrics, "resources": {"resources": [resource]}}).encode()
    body = b"LSA1" + struct.pack("<I", len(header)) + header + blob
    _, answer = post(f"{base}/v1/batches/{lease_id}/ack", body, "application/octet-stream")
    return json.loads(answer)


def train(weights, arrays, rate=0.1):
    """One step for a softmax over tokens that ignores its state: the smallest policy gradient."""
    rows = numpy.repeat(numpy.arange(len(arrays["advantages"])), numpy.diff(arrays["response_offsets"]))
    gain = arrays["advantages"][rows] * arrays["loss_mask"]
    tokens = arrays["response_ids"] % len(weights)
    chances = numpy.exp(weights) / numpy.exp(weights).sum()
    step = numpy.bincount(tokens, gain, len(weights)) - gain.sum() * chances
    count = max(1, int(arrays["loss_mask"].sum()))
    metrics = {"tokens": count, "mean_advantage": float(gain.sum() / count)}
    return weights + rate * step / count, metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="trainer, with /projects/NAME for another project")
    parser.add_argument("--batches", type=int, default=1, help="leave after so many")
    parser.add_argument("--policy", help="only rows of this policy, into weights of its name")
    parser.add_argument("--wait", type=float, default=30, help="seconds to wait for a batch")
    options, weights = parser.parse_args(), numpy.zeros(64)
    for _ in range(options.batches):
        wish = {"max_samples": 256, "wait_seconds": options.wait, "policy": options.policy}
        batch = lease(options.url, worker_id="worker.py", **wish)
        header, arrays = batch or exit(f"no batch within {options.wait} s")
        weights, metrics = train(weights, arrays)
        name = options.policy or "weights"
        answer = acknowledge(options.url, header["lease_id"], metrics, weights, name)
        shapes = {name: list(array.shape) for name, array in arrays.items()}
        print(json.dumps({**answer, "metrics": metrics, "shapes": shapes}))
