//! `ctl status`

use roadstead_client::proto::console::DescribeControlPlaneRequest;

use crate::connection::Connection;
use crate::error::Error;
use crate::output;

pub(super) async fn run(connection: &Connection) -> Result<(), Error> {
    let response = connection
        .console(async |mut console| {
            console
                .describe_control_plane(DescribeControlPlaneRequest {})
                .await
        })
        .await?;
    connection.show(&response, output::control_plane::status)
}
