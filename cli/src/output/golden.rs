//! What each view gives for fixed messages. `UPDATE_EXPECT=1 cargo test` rewrites it after a change.

mod fixture;
mod json;

use expect_test::{Expect, expect};

use super::{cluster, control_plane, elb, instance, service, task, task_definition};

fn check(view: &str, expected: &Expect) {
    expected.assert_eq(view);
}

#[test]
fn clusters_as_a_table() {
    check(
        &cluster::clusters(&[fixture::cluster()]),
        &expect![[r#"
            NAME     STATUS  INSTANCES  SERVICES  RUNNING  PENDING
            default  ACTIVE  1          1         4        0"#]],
    );
}

#[test]
fn an_empty_list_is_its_headings() {
    check(
        &cluster::clusters(&[]),
        &expect![[r#"
            NAME  STATUS  INSTANCES  SERVICES  RUNNING  PENDING"#]],
    );
}

#[test]
fn revisions_as_a_table() {
    check(
        &task_definition::revisions(&[fixture::task_definition().task_definition_arn.unwrap()]),
        &expect![[r#"
            TASK DEFINITION  ARN
            web:1            arn:aws:ecs:local:000000000000:task-definition/web:1"#]],
    );
}

#[test]
fn families_as_a_table() {
    check(
        &task_definition::families(&["web".to_owned()]),
        &expect![[r#"
            FAMILY
            web"#]],
    );
}

#[test]
fn a_task_definition_as_a_table() {
    check(
        &task_definition::task_definition(&fixture::task_definition()),
        &expect![[r#"
            Task definition:  web:1
            Status:           ACTIVE
            Network mode:     bridge
            CPU units:        -
            Memory (MiB):     -
            Registered:       2023-11-14T22:13:20Z

            CONTAINER  IMAGE      CPU  MEMORY  PORTS     ESSENTIAL
            app        sample:v1  0    64      8080/tcp  yes"#]],
    );
}

#[test]
fn services_as_a_table() {
    check(
        &service::services(&[fixture::service()]),
        &expect![[r#"
            NAME  STATUS  TASK DEFINITION  DESIRED  RUNNING  PENDING  DEPLOYMENTS
            web   ACTIVE  web:2            4        5        1        2"#]],
    );
}

#[test]
fn a_service_as_a_table() {
    check(
        &service::service(&fixture::service()),
        &expect![[r#"
            Service:          web
            Cluster:          default
            Status:           ACTIVE
            Task definition:  web:2
            Desired:          4
            Running:          5
            Pending:          1
            Healthy percent:  100 to 200
            Load balancers:   web:app:8080
            Created:          2023-11-14T22:13:20Z

            DEPLOYMENT  STATUS   TASK DEFINITION  DESIRED  RUNNING  PENDING  FAILED  ROLLOUT
            ecs-svc/2   PRIMARY  web:2            4        1        1        0       IN_PROGRESS
            ecs-svc/1   ACTIVE   web:1            4        4        0        0       COMPLETED

            TIME                  EVENT
            2023-11-14T22:13:20Z  (service web) has started 1 tasks: (task 0af1)."#]],
    );
}

#[test]
fn events_as_a_table() {
    check(
        &service::events(&fixture::service().events),
        &expect![[r#"
            TIME                  EVENT
            2023-11-14T22:13:20Z  (service web) has started 1 tasks: (task 0af1)."#]],
    );
}

#[test]
fn tasks_as_a_table() {
    check(
        &task::tasks(&[fixture::task()]),
        &expect![[r#"
            TASK  TASK DEFINITION  LAST STATUS  DESIRED  HEALTH  GROUP        INSTANCE
            0af1  web:1            STOPPED      STOPPED  -       service:web  11aa"#]],
    );
}

#[test]
fn a_task_as_a_table() {
    check(
        &task::task(&fixture::task()),
        &expect![[r#"
            Task:             0af1
            Task definition:  web:1
            Group:            service:web
            Last status:      STOPPED
            Desired status:   STOPPED
            Health:           -
            Instance:         11aa
            Created:          2023-11-14T22:13:20Z
            Started:          2023-11-14T22:13:21Z
            Stopped:          2023-11-14T22:14:20Z
            Stop code:        EssentialContainerExited
            Stopped reason:   Essential container in task exited

            CONTAINER  IMAGE      LAST STATUS  HEALTH  EXIT CODE  PORTS                    REASON
            app        sample:v1  STOPPED      -       137        0.0.0.0:49153->8080/tcp  OutOfMemoryError: Container killed due to memory usage"#]],
    );
}

#[test]
fn container_instances_as_a_table() {
    check(
        &instance::instances(&[fixture::instance()]),
        &expect![[r#"
            INSTANCE  STATUS  CONNECTED  RUNNING  PENDING  CPU FREE  MEMORY FREE
            11aa      ACTIVE  yes        4        0        1024      3072"#]],
    );
}

#[test]
fn a_container_instance_as_a_table() {
    check(
        &instance::instance(&fixture::instance()),
        &expect![[r#"
            Instance:         11aa
            Status:           ACTIVE
            Agent connected:  yes
            Agent version:    0.1.0
            Running tasks:    4
            Pending tasks:    0
            Registered:       2023-11-14T22:13:20Z

            RESOURCE  REGISTERED  REMAINING
            CPU       2048        1024
            MEMORY    4096        3072
            PORTS     22          22,8080

            ATTRIBUTE    VALUE
            ecs.os-type  linux"#]],
    );
}

#[test]
fn load_balancers_as_a_table() {
    check(
        &elb::load_balancers(&[fixture::elb::load_balancer()]),
        &expect![[r#"
            NAME  TYPE         STATE   CREATED               ARN
            web   application  active  2023-11-14T22:13:20Z  arn:aws:elasticloadbalancing:local:000000000000:loadbalancer/app/web/0123456789abcdef"#]],
    );
}

#[test]
fn listeners_as_a_table() {
    check(
        &elb::listeners(&[fixture::elb::listener()]),
        &expect![[r#"
            LOAD BALANCER  PORT  PROTOCOL  DEFAULT ACTIONS  LIMITS                   ARN
            web            8080  HTTP      forward web      50/s, not 192.0.2.66/32  arn:aws:elasticloadbalancing:local:000000000000:listener/app/web/0123456789abcdef/1"#]],
    );
}

#[test]
fn rules_as_a_table() {
    check(
        &elb::rules(&[fixture::elb::rule(), fixture::elb::redirecting_rule()]),
        &expect![[r#"
            PRIORITY  CONDITIONS                                                                                                  ACTIONS                                            ARN
            10        host-header=a.example|b.example, path-pattern=/api/*                                                        forward blue=9+green=1                             arn:aws:elasticloadbalancing:local:000000000000:listener-rule/app/web/0123456789abcdef/1/2
            20        http-header x-version=1.*|2.*, http-request-method=GET|HEAD, query-string=beta:yes|x, source-ip=10.0.0.0/8  redirect 301 https://#{host}:443/#{path}?#{query}  arn:aws:elasticloadbalancing:local:000000000000:listener-rule/app/web/0123456789abcdef/1/3"#]],
    );
}

#[test]
fn target_groups_as_a_table() {
    check(
        &elb::target_groups(&[fixture::elb::target_group()]),
        &expect![[r#"
            NAME  PROTOCOL  VERSION  CHECK  PATH     INTERVAL  TIMEOUT  THRESHOLDS  MATCHER  ALGORITHM    STICKY            CAPACITY              DELAY  ARN
            web   HTTP      HTTP1    HTTP   /health  30s       5s       5/2         200-299  round_robin  3600s by SESSION  8 a target, wait 20s  300s   arn:aws:elasticloadbalancing:local:000000000000:targetgroup/web/0123456789abcdef"#]],
    );
}

#[test]
fn the_health_of_targets_as_a_table() {
    check(
        &elb::target_health(&[fixture::elb::target_health()]),
        &expect![[r#"
            TARGET     PORT   STATE      REASON                       DESCRIPTION                                   LAST PROBES
            127.0.0.1  49153  unhealthy  Target.ResponseCodeMismatch  Health checks failed with these codes: [503]  503 in 0.8 ms"#]],
    );
}

#[test]
fn the_control_plane_as_a_table() {
    check(
        &control_plane::status(&fixture::control_plane()),
        &expect![[r#"
            SERVER  ROLE      ENDPOINT                 APPLIED  STATE
            1       leader    unix:/run/server-1.sock  42       ok
            2       follower  unix:/run/server-2.sock  42       ok
            3       follower  unix:/run/server-3.sock  -        server 3 takes no part: the disk is full

            Term:  3

            LOAD BALANCER  TABLE  UP             STATE
            a1b2           12     1day 2h 3m 4s  ok
            c3d4           12     1day 2h 3m 4s  port 80 is not open: cannot listen on 0.0.0.0:80: Address already in use"#]],
    );
}

#[test]
fn a_control_plane_that_nobody_leads_says_what_that_means() {
    check(
        &control_plane::status(&fixture::control_plane_without_quorum()),
        &expect![[r#"
            SERVER  ROLE      ENDPOINT                 APPLIED  STATE
            1       follower  unix:/run/server-1.sock  -        it does not answer within 1 s
            2       follower  unix:/run/server-2.sock  -        it does not answer within 1 s
            3       follower  unix:/run/server-3.sock  42       ok

            No server leads: 1 of 3 voters answer and 2 must, so start or repair the others. Until then nothing can be changed; tasks and load balancers go on.

            Term:            3
            Load balancers:  a1b2, c3d4"#]],
    );
}
