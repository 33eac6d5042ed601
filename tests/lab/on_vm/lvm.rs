//! The thin pool on a real disk: made, kept, enlarged, interrupted at every step, and refused.

use crate::machine::Machine;

const DISK: &str = "/dev/disk/by-id/virtio-lab-data";

/// A playbook with the pool, under a name of its own, and these lines more.
fn pool(machine: &Machine, name: &str, more: &str) -> String {
    let devices = if more.contains("devices:") {
        String::new()
    } else {
        format!("    devices: [{DISK}]\n")
    };
    let playbook = machine.playbook(&format!(
        "- name: Pool\n  lvm_thin_pool:\n    vg: docker\n    pool: thinpool\n{devices}{more}"
    ));
    let own = playbook.replace("playbook.yml", &format!("{name}.yml"));
    std::fs::rename(playbook, &own).unwrap();
    own
}

/// Everything about the pool that a second way to it must reproduce.
fn layout(machine: &Machine) -> String {
    machine.sh(
        "lvs -a --noheadings --separator ' ' --units b \
         -o lv_name,lv_size,segtype,chunk_size,lv_metadata_size,lv_profile,seg_monitor,lv_attr docker
         vgs --noheadings -o vg_extent_count,vg_free_count docker
         cat /etc/lvm/profile/docker-thinpool.profile",
    )
}

#[test]
fn an_empty_disk_becomes_a_pool_and_stays_one() {
    let machine = Machine::pristine_vm();
    let playbook = pool(&machine, "pool", "");
    let check = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    assert_eq!(
        check.findings(),
        [
            "device /dev/disk/by-id/virtio-lab-data in `docker` ← empty, 4 GiB",
            "volume_group docker, 3.99 GiB ← absent",
            "pool thinpool, chunks of 512 KiB ← absent",
            "data_size 2.79 GiB (70%) ← absent",
            "metadata_size 40 MiB (1%) ← absent",
            "profile /etc/lvm/profile/docker-thinpool.profile: extend by 20% from 80% on ← absent",
            "monitoring monitored ← absent",
        ]
        .map(|finding| format!("lvm_thin_pool docker/thinpool: {finding}"))
    );
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    let made = layout(&machine);
    assert!(made.contains("thinpool 3003121664B thin-pool"), "{made}");

    let again = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(0);
    assert_eq!(again.findings(), Vec::<String>::new());
    assert_eq!(layout(&machine), made);

    machine.sh("sed -i s/=80/=95/ /etc/lvm/profile/docker-thinpool.profile
         lvchange -q --monitor n docker/thinpool
         lvchange -q --detachprofile docker/thinpool");
    let check = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    assert_eq!(
        check.findings(),
        [
            "autoextend_threshold 80 ← 95",
            "attached_profile docker-thinpool ← none",
            "monitoring monitored ← not monitored",
        ]
        .map(|finding| format!("lvm_thin_pool docker/thinpool: {finding}"))
    );
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(layout(&machine), made);

    // What was put into the pool is still there after it was enlarged, twice.
    machine.sh("lvcreate -q -V 1G -T docker/thinpool -n proof
         dd if=/dev/urandom of=/dev/docker/proof bs=1M count=64 status=none oflag=direct
         md5sum < /dev/docker/proof > /root/proof
         truncate -s 1G /root/more.img; losetup /dev/loop0 /root/more.img");
    let larger = pool(
        &machine,
        "larger",
        &format!("    devices: [{DISK}, /dev/loop0]\n    data_size: 75%\n    metadata_size: 64M"),
    );
    let _ = machine.fleet(&["apply", &larger, "-y"]).exits(0);
    let _ = machine.fleet(&["check", &larger]).exits(0);
    machine.sh("md5sum < /dev/docker/proof | cmp - /root/proof; thin=$(pvs --noheadings -o vg_name /dev/loop0); test $thin = docker");

    // Back is not possible, and says what it would cost.
    let smaller = pool(
        &machine,
        "smaller",
        &format!(
            "    devices: [{DISK}, /dev/loop0]\n    data_size: 1G\n    metadata_size: 64M\n    autoextend_threshold: 100"
        ),
    );
    let run = machine
        .fleet(&["apply", &smaller, "-y", "--format", "json"])
        .exits(2);
    let message = run.failure();
    assert!(
        message.contains("cannot be made smaller (1 GiB)"),
        "{message}"
    );
    assert!(
        message.contains("would destroy all images and containers in it"),
        "{message}"
    );
    machine.sh("md5sum < /dev/docker/proof | cmp - /root/proof");
}

#[test]
fn a_helper_killed_after_every_step_leads_to_the_same_pool() {
    let machine = Machine::pristine_vm();
    let playbook = pool(&machine, "pool", "");
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    let straight = layout(&machine);
    drop(machine);

    let machine = Machine::pristine_vm();
    // Each of LVM's commands does its work, then takes the helper with it. Before the profile is
    // attached the helper dies too: the file is written then, and nothing else.
    machine.sh(
        r#"cat > /root/deadly <<'END'
#!/bin/bash
name=${0##*/}
case "$*" in *--metadataprofile*) mkdir /root/profile-written 2>/dev/null && kill -9 $PPID && exit 1;; esac
"/usr/sbin/$name" "$@"; status=$?
echo "$name" >> /root/steps
kill -9 $PPID
exit $status
END
chmod +x /root/deadly
for name in pvcreate vgcreate lvcreate lvconvert lvchange; do ln -s /root/deadly /usr/local/sbin/$name; done"#,
    );
    let playbook = pool(&machine, "pool", "");
    let mut killed = 0;
    loop {
        let run = machine.fleet(&["apply", &playbook, "-y", "--format", "json"]);
        if run.status() == 0 {
            break;
        }
        killed += 1;
        assert!(killed < 20, "no end in sight: {}", run.stdout());
        // The child that killed the helper may still be ending.
        machine.sh("while pgrep -f '[/]usr/local/sbin/' > /dev/null; do sleep 0.1; done");
    }
    assert_eq!(
        machine.sh("cat /root/steps"),
        "pvcreate\nvgcreate\nlvcreate\nlvcreate\nlvconvert\nlvchange\n"
    );
    assert_eq!(
        killed, 7,
        "once per command, and once after the profile was written"
    );
    assert_eq!(layout(&machine), straight);
    let _ = machine.fleet(&["check", &playbook]).exits(0);
}

#[test]
fn a_disk_that_is_not_empty_is_refused_and_left_as_it_is() {
    let machine = Machine::pristine_vm();
    let looks =
        || machine.sh("head -c 64M /dev/vdb | md5sum; wipefs -p /dev/vdb; pvs --noheadings");
    let refused = |playbook: &str, expected: &[&str]| {
        let before = looks();
        let run = machine
            .fleet(&["apply", playbook, "-y", "--format", "json"])
            .exits(2);
        let failure = run.failure();
        for expected in expected {
            assert!(failure.contains(expected), "{expected}: {failure}");
        }
        assert!(failure.contains("nothing was changed"), "{failure}");
        assert_eq!(looks(), before);
    };
    let no_consent = pool(&machine, "pool", "");
    machine.sh("mkfs.ext4 -q -L precious /dev/vdb");
    refused(
        &no_consent,
        &[
            "ext4 on /dev/vdb at 0x438, label precious",
            "add `virtio-lab-data` to `consent`",
        ],
    );
    let wrong = "virtio-lab-dat, vdb, VIRTIO-LAB-DATA, virtio-lab-root";
    refused(
        &pool(&machine, "wrong", &format!("    consent: [{wrong}]")),
        &[&format!(
            "`consent` has {wrong}; this device is virtio-lab-data, lab-data"
        )],
    );
    let check = machine
        .fleet(&["check", &no_consent, "--format", "json"])
        .exits(2);
    assert!(
        check.findings()[0].ends_with("(refused without consent)"),
        "{:?}",
        check.findings()
    );

    // Consent, but in use: none helps.
    let consent = pool(&machine, "consent", "    consent: [virtio-lab-data]");
    machine.sh("mount /dev/vdb /mnt; mount -o remount,ro /mnt");
    refused(
        &consent,
        &["is mounted on /mnt; `consent` does not help here"],
    );
    machine.sh("umount /mnt; mkswap -q -f /dev/vdb; swapon /dev/vdb");
    refused(&consent, &["is used as swap; `consent` does not help here"]);
    machine.sh("swapoff /dev/vdb; wipefs -qa /dev/vdb; vgcreate -q data /dev/vdb");
    refused(
        &consent,
        &["belongs to the volume group `data`; `consent` does not help here"],
    );
    machine.sh("lvcreate -q -l 10 -n files data");
    refused(&consent, &["is part of data-files (dm-0)"]);
    machine.sh("vgremove -q -y data; pvremove -q /dev/vdb; dmsetup create held --table '0 8192 linear /dev/vdb 0'");
    refused(&consent, &["is part of held (dm-0)"]);
    machine.sh("dmsetup remove held");
    let root = pool(
        &machine,
        "root",
        "    devices: [/dev/disk/by-id/virtio-lab-root]\n    consent: [virtio-lab-root]",
    );
    refused(
        &root,
        &[
            "carries the running system",
            "is mounted on /; `consent` does not",
        ],
    );

    // A partition table, and a file system in a partition.
    machine.sh("echo ,100M | sfdisk -q /dev/vdb; mkfs.ext4 -q -L inner /dev/vdb1; udevadm settle");
    refused(
        &no_consent,
        &[
            "dos on /dev/vdb at 0x1fe",
            "ext4 on /dev/vdb1 at 0x438, label inner",
            "partition /dev/vdb1",
        ],
    );
    machine.sh("mount /dev/vdb1 /mnt; mount -o remount,ro /mnt");
    refused(&consent, &["is mounted on /mnt (its partition /dev/vdb1)"]);
    machine.sh("umount /mnt");

    // The exact name is the way past, and the only one.
    let run = machine.fleet(&["check", &consent]).exits(2);
    assert!(
        run.stdout().contains("will be destroyed, by consent"),
        "{}",
        run.stdout()
    );
    machine.sh("test -b /dev/vdb1");
    let _ = machine.fleet(&["apply", &consent, "-y"]).exits(0);
    let _ = machine.fleet(&["check", &consent]).exits(0);
    machine.sh("test ! -b /dev/vdb1");
}

#[test]
fn what_fleet_did_not_make_is_not_made_into_a_pool() {
    let machine = Machine::pristine_vm();
    let playbook = pool(&machine, "pool", "");
    machine.sh("vgcreate -q docker /dev/vdb; lvcreate -q -l 100 -n thinpool docker; mkfs.ext4 -q /dev/docker/thinpool");
    let before = machine.sh("md5sum < /dev/docker/thinpool");
    let run = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(2);
    assert!(
        run.failure().contains(
            "the volume `docker/thinpool` (linear, 400 MiB) exists and was not made by fleet"
        ),
        "{}",
        run.failure()
    );
    assert_eq!(machine.sh("md5sum < /dev/docker/thinpool"), before);

    // Docker's own fallback onto loopback files.
    machine.sh(
        "lvremove -q -y docker/thinpool
         truncate -s 100M /root/data; truncate -s 10M /root/metadata
         losetup /dev/loop0 /root/data; losetup /dev/loop1 /root/metadata
         dmsetup create docker-254:0-1-pool --table '0 204800 thin-pool /dev/loop1 /dev/loop0 128 0'",
    );
    let run = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    let last = run.findings().pop().unwrap();
    assert_eq!(
        last,
        "lvm_thin_pool docker/thinpool: docker_pool /dev/mapper/docker-thinpool ← \
         loopback files: docker-254:0-1-pool on loop0 and loop1"
    );
    let run = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(2);
    assert!(
        run.failure().contains("Docker runs on loopback files"),
        "{}",
        run.failure()
    );
}

#[test]
fn a_pool_past_its_threshold_is_told_and_extended() {
    let machine = Machine::pristine_vm();
    let small = pool(
        &machine,
        "small",
        "    data_size: 400M\n    metadata_size: 8M",
    );
    let _ = machine.fleet(&["apply", &small, "-y"]).exits(0);
    // Nobody watches: dmeventd would be first.
    machine.sh("lvchange -q --monitor n docker/thinpool
         lvcreate -q -V 400M -T docker/thinpool -n filler
         lvchange -q --monitor n docker/thinpool
         dd if=/dev/zero of=/dev/docker/filler bs=1M count=360 status=none oflag=direct");
    let check = machine
        .fleet(&["check", &small, "--format", "json"])
        .exits(2);
    let fill = check.findings().pop().unwrap();
    assert!(
        fill.contains("data_fill at most 80% ← 90.00% (warning: the volume group has room"),
        "{fill}"
    );
    let _ = machine.fleet(&["apply", &small, "-y"]).exits(0);
    let _ = machine.fleet(&["check", &small]).exits(0);
    let fill = machine.sh("lvs --noheadings -o data_percent docker/thinpool");
    assert!(fill.trim().parse::<f64>().unwrap() <= 80.0, "{fill}");
}
