//! The limit: a bare loop over the same libraries. Reads, formats, publishes.

use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, QoS};
use std::time::Duration;
use tokio_modbus::Slave;
use tokio_modbus::client::{Reader, tcp};

/// Polls the devices at `ports` every `period_ms` (0 = back to back) and publishes QoS 1.
pub fn run(broker: u16, period_ms: u64, ports: &[String]) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut options = MqttOptions::new("plain", "127.0.0.1", broker);
        options.set_inflight(100).set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, 100);
        for (index, port) in ports.iter().enumerate() {
            let port: u16 = port.parse()?;
            tokio::spawn(poll(client.clone(), port, index, period_ms));
        }
        println!("ready");
        loop {
            match events.poll().await {
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
    })
}

async fn poll(client: AsyncClient, port: u16, index: usize, period_ms: u64) -> anyhow::Result<()> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut device = tcp::connect_slave(address, Slave(1)).await?;
    let topic = format!("gwp/d{index}");
    let names: Vec<String> = (0..1000).map(|tag| format!("\"d{index}.t{tag:04}\":")).collect();
    let mut ticks = tokio::time::interval(Duration::from_millis(period_ms.max(1)));
    loop {
        if period_ms > 0 {
            ticks.tick().await;
        }
        let mut out = Vec::with_capacity(20_000);
        out.extend_from_slice(b"{\"values\":{");
        let mut digits = itoa::Buffer::new();
        for block in 0..8u16 {
            let values = device.read_holding_registers(block * 125, 125).await??;
            for (at, value) in values.into_iter().enumerate() {
                out.extend_from_slice(names[usize::from(block) * 125 + at].as_bytes());
                out.extend_from_slice(digits.format(value).as_bytes());
                out.push(b',');
            }
        }
        out.pop();
        out.extend_from_slice(b"}}");
        client.publish(&topic, QoS::AtLeastOnce, false, out).await?;
    }
}
