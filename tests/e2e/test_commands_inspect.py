"""`inspect`: every key that docker's users rely on, and its templates (row B3)."""

from __future__ import annotations

import json
import re

import pytest

from tests.compat.targets import Cli, eventually

FLAGS = (
    *("-v", "shelf:/data:ro", "-v", "/tmp:/host", "--tmpfs", "/t:size=1m"),
    *("--mount", "type=tmpfs,target=/t2,tmpfs-size=1m", "-e", "A=b", "-l", "k=v", "--ulimit", "nofile=64:128"),
    *("--device", "/dev/null:/dev/n:r", "--security-opt", "no-new-privileges", "-m", "64m", "--cpus", "0.5"),
    *("--cap-add", "NET_ADMIN", "--group-add", "5", "--shm-size", "32m", "--memory-reservation", "32m"),
    *("--pids-limit", "50", "--ipc", "shareable", "--oom-score-adj", "100", "--sysctl", "kernel.msgmax=9000"),
)

STATE = (
    "Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error StartedAt FinishedAt"  # in docker's order
).split()
TOP = (
    "Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name RestartCount Driver Platform "
    "MountLabel ProcessLabel AppArmorProfile ExecIDs HostConfig GraphDriver Mounts Config NetworkSettings"
).split()
HOST_CONFIG = (
    "Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom CapAdd "
    "CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links OomScoreAdj PidMode "
    "Privileged PublishAllPorts ReadonlyRootfs SecurityOpt Tmpfs UTSMode UsernsMode ShmSize Sysctls Runtime "
    "ConsoleSize Isolation CpuShares Memory NanoCpus CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps "
    "BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota CpuRealtimePeriod "
    "CpuRealtimeRuntime CpusetCpus CpusetMems Devices DeviceCgroupRules DeviceRequests KernelMemory KernelMemoryTCP "
    "MemoryReservation MemorySwap MemorySwappiness OomKillDisable PidsLimit Ulimits CpuCount CpuPercent IOMaximumIOps "
    "IOMaximumBandwidth Mounts MaskedPaths ReadonlyPaths"
).split()
CONFIG = (
    "Hostname Domainname User AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce Env Cmd Image Volumes "
    "WorkingDir Entrypoint OnBuild Labels"
).split()
NETWORK = (
    "Bridge SandboxID HairpinMode LinkLocalIPv6Address LinkLocalIPv6PrefixLen Ports SandboxKey SecondaryIPAddresses "
    "SecondaryIPv6Addresses EndpointID Gateway GlobalIPv6Address GlobalIPv6PrefixLen IPAddress IPPrefixLen IPv6Gateway "
    "MacAddress Networks"
).split()


def document(cli: Cli, *words: str) -> dict[str, object]:
    (found,) = json.loads(cli.ok("inspect", *words))
    return found


def test_B3_a_container_has_dockers_keys_in_dockers_order(cli: Cli):
    cli.start_sleeper("box", *FLAGS)
    found = document(cli, "box")
    assert list(found) == TOP
    assert list(found["State"])[: len(STATE)] == STATE
    assert list(found["HostConfig"]) == HOST_CONFIG
    assert list(found["Config"]) == CONFIG
    assert list(found["NetworkSettings"]) == NETWORK
    assert set(found["GraphDriver"]["Data"]) == {"LowerDir", "MergedDir", "UpperDir", "WorkDir"}


def test_B3_what_was_asked_for_is_shown(cli: Cli):
    cli.start_sleeper("box", *FLAGS)
    found = document(cli, "box")
    host = found["HostConfig"]
    assert host["Binds"] == ["shelf:/data:ro", "/tmp:/host"]
    assert host["Tmpfs"] == {"/t": "size=1m"}
    assert host["Mounts"] == [{"Type": "tmpfs", "Target": "/t2", "TmpfsOptions": {"SizeBytes": 1048576}}]
    assert host["Ulimits"] == [{"Name": "nofile", "Hard": 128, "Soft": 64}]
    assert host["Devices"] == [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"}]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["Memory"], host["MemorySwap"], host["MemoryReservation"]) == (64 << 20, 128 << 20, 32 << 20)
    assert (host["NanoCpus"], host["PidsLimit"], host["OomScoreAdj"]) == (500_000_000, 50, 100)
    assert host["CapAdd"] == ["CAP_NET_ADMIN"] or host["CapAdd"] == ["NET_ADMIN"]
    assert (host["GroupAdd"], host["ShmSize"], host["IpcMode"]) == (["5"], 32 << 20, "shareable")
    assert host["Sysctls"] == {"kernel.msgmax": "9000"}
    assert found["State"]["Pid"] > 1
    assert found["Config"]["Labels"]["k"] == "v"
    assert sorted(each["Type"] for each in found["Mounts"]) == ["bind", "tmpfs", "volume"]
    by_target = {each["Destination"]: each for each in found["Mounts"]}
    assert by_target["/data"] | {"Source": ""} == {
        "Type": "volume",
        "Name": "shelf",
        "Source": "",
        "Destination": "/data",
        "Driver": "local",
        "Mode": "ro",
        "RW": False,
        "Propagation": "",
    }


def test_B3_added_processes_are_listed_while_they_run(cli: Cli):
    cli.start_sleeper("box")
    assert document(cli, "box")["ExecIDs"] is None
    cli.ok("exec", "-d", "box", "sleep", "3")
    (exec_id,) = document(cli, "box")["ExecIDs"]
    assert re.fullmatch("[0-9a-f]{64}", exec_id)
    eventually("no added process is listed", lambda: document(cli, "box")["ExecIDs"] is None)


def test_B3_sizes_on_request(cli: Cli):
    cli.start_sleeper("box")
    cli.ok("exec", "box", "sh", "-c", "head -c 5000 /dev/zero > /f")
    assert "SizeRw" not in document(cli, "box")
    sized = document(cli, "--size", "box")
    assert sized["SizeRw"] >= 5000
    assert sized["SizeRootFs"] > sized["SizeRw"]


def test_B3_several_objects_and_a_missing_one(cli: Cli):
    cli.start_sleeper("box")
    done = cli("inspect", "box", "nosuchbox")
    assert done.code == 1
    assert len(json.loads(done.out)) == 1
    assert "no such object: nosuchbox" in done.err.lower()
    alone = cli("inspect", "nosuchbox")
    assert (alone.code, json.loads(alone.out)) == (1, [])


@pytest.mark.parametrize("kind", ["container", "image", "volume"])
def test_B3_a_kind_can_be_asked_for(cli: Cli, kind: str):
    cli.ok("volume", "create", "same")
    cli.ok(*cli.run_words("create", "--name", "same", "IMAGE", "true"))
    name = cli.image if kind == "image" else "same"
    found = document(cli, "--type", kind, name)
    assert ("Mountpoint" in found, "RootFS" in found, "HostConfig" in found) == (
        kind == "volume",
        kind == "image",
        kind == "container",
    )
    assert cli("inspect", "--type", kind, "nosuchname").code == 1
    odd = cli("inspect", "--type", "odd", "same")
    assert odd.code != 0
    assert "odd" in odd.err


TEMPLATES = {
    "{{.State.Status}} {{.State.ExitCode}}": "running 0",
    "{{json .Args}}": '["1000"]',
    "{{json .HostConfig.Ulimits}}": '[{"Name":"nofile","Hard":128,"Soft":64}]',
    '{{join .Args ","}}|{{join .HostConfig.CapAdd ","}}': "1000|CAP_NET_ADMIN",
    "{{lower .Path}} {{upper .Path}} {{title .Path}}": "sleep SLEEP Sleep",
    '{{split .HostConfig.IpcMode "a"}}': "[sh re ble]",
    '{{index .Config.Labels "k"}} {{.Config.Labels.k}} {{index .Args 0}}': "v v 1000",
    "{{range .Mounts}}{{.Destination}} {{end}}": "/data ",
    "{{range $i, $m := .HostConfig.CapAdd}}{{$i}}{{$m}} {{else}}none{{end}}": "0CAP_NET_ADMIN ",
    "{{range .HostConfig.Dns}}x{{else}}none{{end}}": "none",
    "{{if .State.Running}}up{{else}}down{{end}} {{if .State.Paused}}p{{else if .State.Dead}}d{{else}}n{{end}}": "up n",
    '{{printf "%s-%d-%.3s" .Path .State.ExitCode .Path}}': "sleep-0-sle",
    "{{slice .Path 1 3}} {{len .Mounts}} {{len .Path}}": "le 1 5",
    '{{and .State.Running "yes"}} {{or .State.Paused "no"}} {{not .State.Dead}}': "yes no true",
    '{{eq .Path "sleep"}} {{ne .Path "x"}}': "true true",
    "{{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 2 3}}": "true true false false",
    "{{with .Config}}{{.Tty}}{{end}} {{with .HostConfig.Dns}}x{{else}}e{{end}}": "false e",
    "{{$n := .Path}}{{$n}}": "sleep",
    '{{println "a" 1}}': "a 1\n",
    "{{/* nothing */}}a{{- 1 -}} b": "a1b",
    "{{.Config.StopSignal}}|{{.HostConfig.Memory}}": "|67108864",
    "{{truncate .Path 3}} {{pad .Path 1 1}}|": "sle  sleep |",
    '{{.State.Status | upper | printf "%q"}}': '"RUNNING"',
    "{{json .Config.Labels}}": '{"k":"v"}',
    "{{json .State.Health}} {{if .State.Health}}checked{{else}}unchecked{{end}}": "null unchecked",
    "{{json .HostConfig.Init}}|{{.Config.Healthcheck}}|{{.HostConfig.Sysctls}}": "null|<nil>|map[]",
    "{{.HostConfig.RestartPolicy}}": "{no 0}",
    '{{js "a<b"}}': "a\\u003Cb",
}


def test_B3_templates_have_dockers_functions(cli: Cli):
    flags = ("-v", "shelf:/data", "-l", "k=v", "-m", "64m")
    cli.start_sleeper("box", *flags, "--ulimit", "nofile=64:128", "--cap-add", "NET_ADMIN", "--ipc", "shareable")
    said = {template: cli("inspect", "-f", template, "box") for template in TEMPLATES}
    assert {template: done.out.removesuffix("\n") for template, done in said.items()} == TEMPLATES


@pytest.mark.parametrize("template", ["{{", "{{.Nope}}", "{{nosuch .Id}}", "{{if}}", "{{end}}", '{{index .Args "x"}}'])
def test_B3_a_wrong_template_is_one_line(cli: Cli, template: str):
    cli.start_sleeper("box")
    done = cli("inspect", "-f", template, "box")
    assert done.code != 0
    assert "template" in done.err
    assert "Traceback" not in done.err


def test_B3_an_image_and_a_volume(cli: Cli):
    found = document(cli, cli.image)
    assert {"Id", "RepoTags", "RepoDigests", "Created", "Config", "Architecture", "Os", "Size", "RootFS"} <= set(found)
    assert found["RootFS"]["Layers"]
    assert found["GraphDriver"]["Data"]["UpperDir"].startswith("/")
    cli.ok("volume", "create", "--label", "a=b", "shelf")
    volume = document(cli, "shelf")
    assert list(volume) == ["CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope"]
    assert (volume["Labels"], volume["Scope"], volume["Driver"]) == ({"a": "b"}, "local", "local")
