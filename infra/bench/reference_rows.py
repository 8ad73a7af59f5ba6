"""The reference's row builder without torch, tensordict, flask and VERL: numpy stands in for tensors.

agentlightning.verl wants packages of several gigabytes that its rows do not need. What is loaded
here is its own daemon.py, unchanged; only the containers it fills are others.
"""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np

import agentlightning


class Tensor(np.ndarray):
    """As much of a torch tensor as daemon.py calls."""

    def to(self, _device):
        return self

    def contiguous(self):
        return self


class _BFloat16:
    """Marks the dtype; values are kept as the float32 numbers that a bfloat16 can hold."""


bfloat16 = _BFloat16()


def _tensor(values, dtype=None):
    if dtype is not bfloat16:
        return np.asarray(values, dtype=dtype).view(Tensor)
    words = np.asarray(values, dtype=np.float32).view(np.uint32)
    rounded = (words + 0x7FFF + ((words >> 16) & 1)) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32).view(Tensor)


def _torch():
    torch = types.ModuleType("torch")
    torch.Tensor = Tensor
    torch.device = str
    torch.bfloat16 = bfloat16
    torch.LongTensor = lambda values: _tensor(values, np.int64)
    torch.BoolTensor = lambda values: _tensor(values, np.bool_)
    torch.tensor = _tensor
    torch.cat = lambda parts, dim: np.concatenate(parts, axis=dim).view(Tensor)
    torch.cumsum = lambda values, dim: np.cumsum(values, axis=dim).view(Tensor)
    torch.clamp = lambda values, min: np.maximum(values, min).view(Tensor)
    torch.zeros_like = lambda values, dtype: np.zeros(values.shape, np.float32).view(Tensor)
    torch.argmax = lambda values, dim: np.argmax(values, axis=dim).view(Tensor)
    torch.arange = np.arange
    return torch


class _Batch(dict):
    def __init__(self, tensors, batch_size):
        super().__init__(tensors)


class _DataProto:
    def __init__(self, batch):
        self.batch = batch
        self.non_tensor_batch = {}


def load_daemon():
    """The class AgentModeDaemon of agentlightning.verl.daemon."""
    flask = types.ModuleType("flask")
    flask.Flask = flask.Response = flask.abort = flask.request = object
    tensordict = types.ModuleType("tensordict")
    tensordict.TensorDict = _Batch
    verl = types.ModuleType("verl")
    verl.DataProto = _DataProto
    wanted = {"torch": _torch(), "flask": flask, "tensordict": tensordict, "verl": verl}
    for name, module in wanted.items():
        sys.modules.setdefault(name, module)
    path = Path(agentlightning.__file__).parent / "verl" / "daemon.py"
    spec = importlib.util.spec_from_file_location("reference_daemon", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.AgentModeDaemon


def row_builder(daemon_class, level, prompt, response):
    """A function from [(rollout id, data id, reward, triplets)] to the batch and its metrics."""

    def build(rollouts):
        daemon = object.__new__(daemon_class)
        daemon.is_train = True
        daemon.tokenizer = None
        daemon.pad_token_id = 0
        daemon.reward_fillna_value = 0.0
        daemon.trace_aggregator = {"level": level}
        daemon._use_mrope = False
        daemon._total_tasks_queued = len(rollouts)
        daemon._task_id_to_original_sample = {i: {"data_id": data} for i, data, _, _ in rollouts}
        daemon._completed_rollouts_v0 = {
            i: types.SimpleNamespace(rollout_id=i, final_reward=reward, triplets=triplets)
            for i, _, reward, triplets in rollouts
        }
        return daemon.get_train_data_batch(prompt, response, "cpu", 0)

    return build
