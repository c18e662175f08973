//! The lab itself: what the other tests take for granted.

use pgevents_tests::lab::{Fault, Lab, Proxy};

#[tokio::test]
async fn killed_servers_come_back_with_what_they_had() {
    let mut lab = Lab::with_own_postgres("").await;
    lab.sql("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
        .await;
    lab.own_postgres().kill().await.expect("kill the server");
    lab.own_postgres()
        .run()
        .await
        .expect("start the server again");
    lab.reconnect().await;
    let id: i32 = lab.row("SELECT id FROM kept").await.get(0);
    assert_eq!(id, 7);
    lab.finish().await;
}

#[tokio::test]
async fn a_proxy_cuts_a_connection_at_the_byte() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    let server = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = server.local_addr().expect("address").port();
    let proxy = Proxy::to(port).await.expect("start the proxy");
    proxy.set(Fault::CutAfter(5));
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port()))
        .await
        .expect("connect");
    let (mut accepted, _) = server.accept().await.expect("accept");
    client.write_all(b"0123456789").await.expect("write");
    let mut arrived = Vec::new();
    // The reset may reach this side before the bytes have been read; it then discards them.
    let _ = accepted.read_to_end(&mut arrived).await;
    assert!(b"01234".starts_with(&arrived), "{arrived:?}");
    assert!(
        client.read(&mut [0]).await.is_err(),
        "the client sees a reset"
    );
}

#[tokio::test]
async fn a_killed_broker_comes_back() {
    let mut lab = Lab::with_own_rabbitmq().await;
    let mut queue = lab.queue().await;
    lab.own_rabbitmq().kill().await.expect("kill the broker");
    lab.own_rabbitmq()
        .run()
        .await
        .expect("start the broker again");
    queue.reconnect().await;
    lab.finish().await;
}
