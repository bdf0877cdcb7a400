"""Makes the small models of the tests with PyTorch 2.1: two that work, and one for each thing that a model may not do.

    python make_models.py            writes *.pt and golden.json beside itself

nodule.pt and pathology.pt stand in for what users bring: they are made by hand, not trained, and judge synthetic
pictures. golden.json holds their logits for the pattern x[i] = sin(0.37 i) + 0.5 sin(0.011 i), which the Go tests make
as well.
"""

import json
import os
from typing import Tuple

import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))


class Nodule(nn.Module):
    """Finds a bright round spot in a picture (1, 1, 64, 64): nodule, bright field, dark field."""

    def __init__(self, gain: float = 8.0):
        super().__init__()
        self.spot = nn.Conv2d(1, 1, 11, padding=5, bias=False)
        r = torch.arange(11.0) - 5
        inner = torch.exp(-(r[:, None] ** 2 + r[None, :] ** 2) / 8)
        outer = torch.exp(-(r[:, None] ** 2 + r[None, :] ** 2) / 40)
        self.spot.weight.data = (inner / inner.sum() - outer / outer.sum())[None, None]
        self.norm = nn.BatchNorm2d(1)
        self.gain = gain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        peak = torch.relu(self.norm(self.spot(x))).amax((1, 2, 3))
        mean = x.mean((1, 2, 3))
        return torch.stack([self.gain * (peak - 0.4), 4 * (mean - 1.0), 4 * (-1.0 - mean)], 1)


class Pathology(nn.Module):
    """Judges a picture (1, 3, 96, 96) and the vector of a text (1, 384): benign or malignant."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=4), nn.BatchNorm2d(8), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.text = nn.Linear(384, 8)
        self.head = nn.Linear(16, 2)

    def forward(self, x: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.net(x), 4 * self.text(text)], 1))


class Base(nn.Module):
    """What the bad ones have in common: three logits from a picture (1, 1, 64, 64)."""

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x.mean(), x.amax(), x.amin()])[None]


class Throws(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.numel() > 0:
            raise ValueError("this module never works")
        return self.logits(x)


class Loops(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        i = 0
        while i >= 0:
            i = (i + 1) % 1000
        return self.logits(x) + i


class LoopsLater(Base):
    """Passes its check, and never ends on a picture that is all of one value."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        i = 0
        while bool(x.amax() == x.amin()):
            i += 1
        return self.logits(x) + i


class NotANumber(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(x) * 0 / 0


class FiveLabels(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.logits(x), self.logits(x)[:, :2]], 1)


class NoBatch(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(x)[0]


class Pair(Base):
    def forward(self, x: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        return self.logits(x), x


class Doubles(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(x).double()


class Memory(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(x) + torch.ones([1 << 34]).sum()


class Hoards(Base):
    """Takes memory in pieces until there is none."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = [x]
        for i in range(1 << 20):
            kept.append(torch.ones([1 << 22]) * i)
        return self.logits(x) + torch.stack(kept[1:]).sum()


class ReadsFile(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(x) + torch.from_file("/etc/passwd", False, 16, dtype=torch.uint8).sum()


class Draws(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(x) + torch.rand(1, 3)


class Trains(Base):
    """Drops out at random even in evaluation mode, as a module that was traced while training does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(self.logits(x), 0.5, True)


class Forks(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.jit.wait(torch.jit.fork(self.logits, x))


class Prints(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        print(x)
        return self.logits(x)


class Remembers(Base):
    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        return self.logits(x) + self.seen


class Restores(Base):
    """Runs code while it is loaded."""

    def __init__(self):
        super().__init__()
        self.offset = torch.zeros(3)
        self.training = False

    @torch.jit.export
    def __getstate__(self):
        return (self.offset, self.training)

    @torch.jit.export
    def __setstate__(self, state: Tuple[torch.Tensor, bool]):
        self.offset = state[0] + 1
        self.training = state[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(x) + self.offset


def pattern(*shape):
    i = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (torch.sin(i * 0.37) + 0.5 * torch.sin(i * 0.011)).float().reshape(shape)


def main():
    torch.manual_seed(5)
    golden = {}
    for name, module, inputs in [
        ("nodule", Nodule(), [pattern(1, 1, 64, 64)]),
        ("nodule-2", Nodule(gain=16.0), [pattern(1, 1, 64, 64)]),
        ("pathology", Pathology(), [pattern(1, 3, 96, 96), pattern(1, 384)]),
    ]:
        module.eval()
        script = torch.jit.trace(module, tuple(inputs)) if name == "pathology" else torch.jit.script(module)
        script.save(os.path.join(HERE, name + ".pt"))
        with torch.no_grad():
            golden[name] = script(*inputs)[0].tolist()
    with open(os.path.join(HERE, "golden.json"), "w") as f:
        json.dump(golden, f, indent=1)
        f.write("\n")
    for bad in [
        Throws, Loops, LoopsLater, NotANumber, FiveLabels, NoBatch, Pair, Doubles, Memory, Hoards, ReadsFile, Draws, Trains,
        Forks, Prints, Remembers, Restores,
    ]:
        torch.jit.script(bad().eval()).save(os.path.join(HERE, bad.__name__.lower() + ".pt"))


if __name__ == "__main__":
    main()
