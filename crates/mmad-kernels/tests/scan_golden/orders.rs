//! Scan orders and directions, exactly.

use crate::Golden;
use mmad_kernels::orders::{DirectionTable, ScanOrder};

fn as_u32(order: &[i32]) -> Vec<u32> {
    order.iter().map(|&pixel| pixel.try_into().unwrap()).collect()
}

#[test]
fn base_orders_equal_the_reference() {
    let Some(golden) = Golden::read("01_scan_orders") else { return };
    let names = golden.names();
    assert_eq!(names.len(), 20);
    for name in names {
        let (order, size) = name.split_once('.').unwrap();
        let order: ScanOrder = order.parse().unwrap();
        let size: usize = size.parse().unwrap();
        assert_eq!(order.base_order(size, size).unwrap(), as_u32(&golden.i32(&name)), "{name}");
    }
}

#[test]
fn directions_equal_the_reference() {
    let Some(golden) = Golden::read("01_direction_orders") else { return };
    let names = golden.names();
    assert_eq!(names.len(), 10);
    for name in names {
        let (order, size) = name.split_once('.').unwrap();
        let order: ScanOrder = order.parse().unwrap();
        let size: usize = size.parse().unwrap();
        let wanted = as_u32(&golden.i32(&name));
        let of = |k: usize| &wanted[k * size * size..(k + 1) * size * size];
        let table = |k| DirectionTable::new(order, size, size, k).unwrap();
        assert_eq!(table(8).orders(), wanted, "{name}");
        assert_eq!(table(4).orders(), [of(0), of(1), of(4), of(5)].concat(), "{name}");
        assert_eq!(table(2).orders(), [of(0), of(4)].concat(), "{name}");
    }
}
